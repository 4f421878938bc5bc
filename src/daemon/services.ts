/** What the parts of the daemon share. Made once, by `make_services`, and handed around. */
import type { Logger } from "pino";
import type { Containment } from "../containment/place.ts";
import type { AgentRecord } from "../contract/agent.ts";
import type { SupervisorConfig } from "../contract/config.ts";
import type { HostFacts } from "../contract/host-protocol.ts";
import type { HostState } from "../contract/host-state.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import type { TmuxServer } from "../drivers/tmux/client.ts";
import type { WaitingRoom } from "./admission/waiting-room.ts";
import type { Alerts } from "./alerts/alerts.ts";
import type { Audit } from "./audit.ts";
import type { Ages, Clock } from "./clock.ts";
import type { EndUnderWay } from "./ending/end-under-way.ts";
import type { EventLog } from "./events.ts";
import type { HostLink } from "./host-link.ts";
import type { LogReaders } from "./logs/readers.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Panes } from "./panes.ts";
import type { Profiles } from "./profiles/profiles.ts";
import type { Registry } from "./registry/registry.ts";
import type { ReportBook } from "./report-book.ts";
import type { Reports } from "./reports.ts";
import type { Sightings } from "./sweep/sightings.ts";
import type { Verifier } from "./verifier.ts";

/** A host that waits for its agent's launch. */
export interface ReadyHost {
  link: HostLink;
  facts: HostFacts;
  /** The name of the session that it is in: of a spare, until it has its agent's. */
  session: string;
}

/** A spare that is an agent's from now on. */
export interface TakenSpare {
  host: ProcessRef & { protocol: number };
  session: string;
  /** Tells it so; meanwhile the agent may be registered. Null when it could not become the agent's host: then nothing is left of it. Never rejects. */
  become(agent: AgentRecord): Promise<ReadyHost | null>;
}

/** What `Spares` offers. Here, because a spare is made with what stands in `Services`. */
export interface SpareHosts {
  /** Makes what is missing, in the background; nothing while something is being deployed, or memory is under its floor. */
  fill(): void;
  /** Somebody deploys: the one that is next may begin what takes long. */
  prepare(): void;
  /** One that is ready, or null. */
  take(): TakenSpare | null;
  /** One that is being made, if it is ready soon; else null. Never rejects. */
  take_coming(): Promise<TakenSpare | null>;
  /** True for the id or short id of a spare that is being made, waits, or is being removed: what is of it is not garbage. */
  owns(id_or_short_id: string): boolean;
  /** Sends all spares away. Resolves when they have left; nothing is made any more. */
  close(): Promise<void>;
}

export interface Services {
  workspace: string;
  runtime_dir: string;
  socket: string;
  /** Environment of the tmux server and of hosts: nothing of anybody's secrets. */
  base_env: Record<string, string>;
  tmux: TmuxServer;
  /** What the config files say; read once, at the start. */
  config: SupervisorConfig;
  profiles: Profiles;
  /** How agents' processes are kept together on this machine. */
  containment: Containment;
  registry: Registry;
  /** What time it is for what grows old. */
  clock: Clock;
  ages: Ages;
  /** What the sweeper has seen before, and since when. */
  sightings: Sightings;
  verifier: Verifier;
  /** Looks over what the verifier found. */
  audit: Audit;
  events: EventLog;
  log: Logger;
  metrics: Metrics;
  alerts: Alerts;
  reports: Reports;
  book: ReportBook;
  readers: LogReaders;
  panes: Panes;
  /** Hosts that wait for an agent. */
  spares: SpareHosts;
  /** Agents that wait for room, and whether there is some. */
  queue: WaitingRoom;
  /** Agents that a kill has in hand, though their end may not have begun: they get no more children, and do not start. */
  doomed: Set<string>;
  /** Connections to living hosts, by agent id. */
  hosts: Map<string, HostLink>;
  /** How things stand with each host, by agent id. */
  /** How the daemon stands with each host, why, and since when (ms since the epoch). */
  host_states: Map<string, { state: HostState; reason: string; since_ms: number }>;
  /** Searches for hosts under way, by agent id; never rejects. */
  searches: Map<string, Promise<void>>;
  /** Finds out what became of an agent's host, and takes the agent up. Here, because an end needs it and it needs ends. */
  find_host: (agent: AgentRecord) => Promise<void>;
  /** Deploys under way, by agent id; never rejects. */
  deploys: Map<string, Promise<void>>;
  /** Deploys that failed and are not all taken back yet, by agent id. */
  take_backs: Map<string, EndUnderWay<void>>;
  /** Ends under way, by agent id: whoever asks again joins. */
  ends: Map<string, EndUnderWay>;
  /** Aborted when the daemon leaves: ends that are not complete are left to the next one. */
  halted: AbortController;
  /** Resolves when the sweeps that were asked for are over; never rejects. */
  sweep: Promise<unknown>;
  /** The program that hosts are started with. */
  host_program: string;
  stopping: boolean;
  /** Asks the daemon to stop. */
  request_stop: () => void;
}
