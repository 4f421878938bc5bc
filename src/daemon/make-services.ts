/** Makes what the parts of the daemon share, out of what a start has found. Nothing is begun here. */
import { tmux_config, tmux_socket } from "../contract/paths.ts";
import { Queue } from "./admission/queue.ts";
import { Alerts } from "./alerts/alerts.ts";
import { Audit } from "./audit.ts";
import { heard_audit } from "./audit-result.ts";
import { Ages } from "./clock.ts";
import { deploy_queued } from "./deploy/deploy.ts";
import { EventLog } from "./events.ts";
import { find_host } from "./find-host.ts";
import { LogReaders } from "./logs/readers.ts";
import { Metrics } from "./metrics/metrics.ts";
import { Panes } from "./panes.ts";
import { ReportBook } from "./report-book.ts";
import { Reports } from "./reports.ts";
import type { Services } from "./services.ts";
import { Spares } from "./spares.ts";
import { Sightings } from "./sweep/sightings.ts";

/** What a start has found, and was told. */
type Found = Pick<
  Services,
  | "workspace"
  | "runtime_dir"
  | "socket"
  | "base_env"
  | "log"
  | "clock"
  | "host_program"
  | "config"
  | "profiles"
  | "containment"
  | "registry"
  | "verifier"
  | "request_stop"
>;

/** The services of one daemon. They know each other by the object that is returned, which is theirs from their first use on. */
export function make_services(found: Found): Services {
  const { runtime_dir, base_env, config, clock } = found;
  const halted = new AbortController();
  const metrics = new Metrics(() => services);
  const services: Services = {
    ...found,
    tmux: { socket: tmux_socket(runtime_dir), config: tmux_config(runtime_dir), env: base_env },
    ages: new Ages(clock),
    sightings: new Sightings(clock),
    audit: new Audit((result) => heard_audit(services, result), halted.signal),
    events: new EventLog(),
    metrics,
    alerts: new Alerts(() => services, metrics),
    reports: new Reports(),
    book: new ReportBook(),
    readers: new LogReaders(),
    panes: new Panes(() => services),
    spares: new Spares(() => services, config.spare_hosts),
    queue: new Queue(() => services, deploy_queued),
    doomed: new Set(),
    hosts: new Map(),
    host_states: new Map(),
    searches: new Map(),
    find_host: (agent) => find_host(services, agent),
    deploys: new Map(),
    take_backs: new Map(),
    ends: new Map(),
    halted,
    sweep: Promise.resolve(),
    stopping: false,
  };
  return services;
}
