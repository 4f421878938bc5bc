/**
 * All metrics of the supervisor, by Prometheus' conventions: base units, `_total` for counters. docs/metrics.md lists them; a test holds the two together.
 * Counters are of this daemon and begin at 0 with it. Those of the process itself are prom-client's own.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { sample_lag_while_read } from "./event-loop-lag.ts";

/** From a millisecond to the minute in which the sweeper comes by. In s. */
const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** The library samples the event loop's lag for as long as the process lives; at this interval (in ms, the longest that a timer has) it never does. */
const NEVER_MS = 2 ** 31 - 1;

export function make_instruments() {
  const register = new Registry();
  const registers = [register];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Histogram({ name, help, labelNames: [...labelNames], buckets: SECONDS, registers });
  const instruments = {
    register,
    info: gauge("supervisor_info", "Always 1; the label has the version.", ["version"]),
    agents: gauge("supervisor_agents", "Agents in the registry now, ended ones too.", ["status"]),
    queue: gauge("supervisor_queue_length", "Agents that wait to be started."),
    ends: gauge("supervisor_ends", "Ends under way now; `waiting` are those whose last attempt failed.", ["state"]),
    deferred: gauge("supervisor_deferred_files", "Files that wait in trash now."),
    hosts: gauge("supervisor_hosts", "Hosts of unfinished agents; `measured` are those whose memory has been read.", [
      "state",
    ]),
    host_memory: gauge(
      "supervisor_hosts_memory_bytes",
      "Memory of the measured hosts together: resident (`rss`), and with shared pages divided by who shares them (`pss`).",
      ["kind"],
    ),
    disk: gauge(
      "supervisor_disk_bytes",
      "The workspace's file system: free for users, and its size. Absent when it does not answer.",
      ["kind"],
    ),
    success: gauge(
      "supervisor_cleanup_success_ratio",
      "Share of this daemon's cleanups that were clear at once; absent before the first.",
    ),
    alerts_firing: gauge("supervisor_alerts_firing", "Alerts that hold now.", ["cause"]),
    begun: counter("supervisor_agents_begun_total", "Agents that were launched."),
    adopted: counter("supervisor_agents_adopted_total", "Agents taken up from a daemon before."),
    ended: counter("supervisor_agents_ended_total", "Agents whose end is complete.", ["cause", "status"]),
    uncounted: counter(
      "supervisor_agents_unaccounted_total",
      "Ended agents of whose output nobody can say that all of it is in the log.",
    ),
    bytes_logged: counter("supervisor_logged_bytes_total", "Bytes in the logs of agents that ended."),
    bytes_freed: counter(
      "supervisor_freed_bytes_total",
      "Bytes of files that were removed, at ends and by the sweeper.",
    ),
    cleanups: counter(
      "supervisor_cleanups_total",
      "Cleanups: `clear` when all files were dealt with at once, `deferred` when some wait in trash, `failed` when a process survived or a file was not handled.",
      ["result"],
    ),
    released: counter("supervisor_deferred_files_released_total", "Deferred files that were removed later."),
    cleanup: histogram("supervisor_cleanup_duration_seconds", "A whole end, from its beginning to its receipt."),
    step: histogram("supervisor_cleanup_step_duration_seconds", "Each step of an end.", ["step"]),
    swept: counter(
      "supervisor_swept_files_total",
      "Files that the sweeper removed: of expired archives, orphans, halves of writes.",
      ["what"],
    ),
    end_failures: counter("supervisor_end_attempts_failed_total", "Ends that began to wait for a new reason."),
    lsof: histogram(
      "supervisor_lsof_duration_seconds",
      "One run of lsof for verdicts, by whether its answer could be used, and whether it was asked about candidates or about everything.",
      ["result", "scope"],
    ),
    looks: histogram(
      "supervisor_look_duration_seconds",
      "One look through /proc for candidates, by whether it could be used.",
      ["result"],
    ),
    leases: counter(
      "supervisor_leases_total",
      "Leases that the kernel was asked for on files to be removed: `granted` when nobody has it, `refused` when somebody has, `impossible` where a lease cannot tell.",
      ["result"],
    ),
    audits: counter(
      "supervisor_audits_total",
      "Times that lsof over everything looked over verdicts, by whether its answer could be used.",
      ["result"],
    ),
    audited: counter("supervisor_audited_verdicts_total", "Verdicts on removed files that were looked over."),
    disputes: counter(
      "supervisor_audit_disagreements_total",
      "Holders of files that had been removed as free. Anything but 0 is an alert.",
    ),
    verdicts: counter("supervisor_lsof_verdicts_total", "Verdicts on files that were there.", ["verdict"]),
    registry: histogram("supervisor_registry_write_duration_seconds", "One durable write of a registry.", ["result"]),
    alerts: counter("supervisor_alerts_total", "Alerts that fired or were resolved.", ["cause", "state"]),
    deliveries: counter(
      "supervisor_alert_deliveries_total",
      "Alerts handed to the user's program or URL, after all attempts.",
      ["channel", "result"],
    ),
    scrape: gauge("supervisor_collect_duration_seconds", "How long it took to gather these figures."),
  };
  // Without labels it would begin as 0, which would be a claim.
  instruments.success.remove({});
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: NEVER_MS });
  for (const figure of ["min", "max", "mean", "stddev", "p50", "p90", "p99"])
    register.removeSingleMetric(`nodejs_eventloop_lag_${figure}_seconds`);
  sample_lag_while_read(register);
  // Gauges that are named like counters; promtool complains of them.
  for (const what of ["handles", "requests", "resources"]) register.removeSingleMetric(`nodejs_active_${what}_total`);
  return instruments;
}
