/** The figures: counted as things happen, which costs an addition each; what can be looked at is looked at when somebody asks. */
import type { Alert, AlertCause } from "../../contract/alert.ts";
import type { MetricsAnswer } from "../../contract/metrics.ts";
import type { SupervisorEvent } from "../../contract/operations/supervisor.ts";
import type { Receipt, Verdict } from "../../contract/receipt.ts";
import { agent_status, is_ended } from "../../contract/status.ts";
import type { DeliveryResult } from "../alerts/delivery.ts";
import type { AuditResult } from "../audit.ts";
import { disk_space } from "../disk-space.ts";
import { sum_receipts } from "../registry/count-agents.ts";
import type { Registry } from "../registry/registry.ts";
import { add_receipts, result_of } from "../registry/sums.ts";
import type { VerifierWatch } from "../verifier.ts";
import { VERSION } from "../version.ts";
import { HostMemory } from "./host-memory.ts";
import { make_instruments } from "./instruments.ts";

/** What it looks at. */
export interface MetricSources {
  workspace: string;
  registry: Registry;
  ends: ReadonlyMap<string, { waiting_for: unknown }>;
  alerts: { counts(): ReadonlyMap<AlertCause, number> };
}

export class Metrics {
  private readonly instruments = make_instruments();
  private readonly memory = new HostMemory();
  private readonly since = new Date().toISOString();
  private collecting: Promise<void> | null = null;

  constructor(private readonly services: () => MetricSources) {
    this.instruments.info.set({ version: VERSION }, 1);
  }

  /** Counts what events tell. */
  readonly hear = ({ type }: SupervisorEvent): void => {
    if (type === "agent_started") this.instruments.begun.inc();
    if (type === "agent_adopted") this.instruments.adopted.inc();
    if (type === "agent_end_waiting") this.instruments.end_failures.inc();
  };

  /** An end is complete. */
  ended({ cause, status, cleanup }: Receipt): void {
    const { ended, bytes_logged, bytes_freed, cleanups, uncounted, cleanup: whole, step } = this.instruments;
    ended.inc({ cause, status });
    bytes_logged.inc(cleanup.bytes_logged);
    bytes_freed.inc(cleanup.bytes_freed);
    cleanups.inc({ result: result_of(cleanup) });
    if (!cleanup.bytes_accounted) uncounted.inc();
    for (const [name, ms] of Object.entries(cleanup.duration_ms))
      if (name === "total") whole.observe(ms / 1000);
      else step.observe({ step: name }, ms / 1000);
  }

  /** Deferred files were removed after the receipt. */
  released(files: number, bytes: number): void {
    this.instruments.released.inc(files);
    this.instruments.bytes_freed.inc(bytes);
  }

  /** The sweeper removed files that no receipt counts as freed. */
  swept(what: string, files: number, bytes: number): void {
    this.instruments.swept.inc({ what }, files);
    this.instruments.bytes_freed.inc(bytes);
  }

  readonly lsof_ran: VerifierWatch["lsof_ran"] = (ms, ok, scope) =>
    this.instruments.lsof.observe({ result: ok ? "answered" : "no_answer", scope }, ms / 1000);

  readonly looked: VerifierWatch["looked"] = (ms, ok) =>
    this.instruments.looks.observe({ result: ok ? "answered" : "no_answer" }, ms / 1000);

  readonly leased: VerifierWatch["leased"] = (result) => this.instruments.leases.inc({ result });

  /** Verdicts were looked over. */
  audited({ verdicts, disputes, failure }: AuditResult): void {
    this.instruments.audits.inc({ result: failure === null ? "answered" : "no_answer" });
    if (failure === null) this.instruments.audited.inc(verdicts);
    this.instruments.disputes.inc(disputes.length);
  }

  readonly judged = (verdict: Verdict): void => this.instruments.verdicts.inc({ verdict });

  readonly registry_written = (ms: number, ok: boolean): void =>
    this.instruments.registry.observe({ result: ok ? "written" : "failed" }, ms / 1000);

  readonly alert = ({ cause, state }: Alert): void => this.instruments.alerts.inc({ cause, state });

  readonly delivery = (channel: string, result: DeliveryResult): void =>
    this.instruments.deliveries.inc({ channel, result });

  /** The text that Prometheus reads. */
  async text(): Promise<string> {
    await this.collect();
    return this.instruments.register.metrics();
  }

  /** The same as a value, and what the receipts add up to. */
  async answer(everything: boolean): Promise<MetricsAnswer> {
    await this.collect();
    const all = await this.instruments.register.getMetricsAsJSON();
    const wanted = all.filter(({ name }) => everything || name.startsWith("supervisor_"));
    const { tasks, ledger } = this.services().registry;
    const receipts = ledger.expired();
    for (const task of tasks.values()) add_receipts(receipts, sum_receipts(task));
    return { since: this.since, metrics: wanted.map(as_answer), receipts, swept: ledger.swept };
  }

  /** Names, types, labels and help of all of them. */
  catalogue() {
    // They are the metrics themselves; prom-client's types leave out their label names.
    return this.instruments.register.getMetricsAsArray() as unknown as {
      name: string;
      type: string;
      help: string;
      labelNames: string[];
    }[];
  }

  /** Looks at what is not counted. Those who ask at the same time share one look. */
  private collect(): Promise<void> {
    this.collecting ??= this.look().finally(() => {
      this.collecting = null;
    });
    return this.collecting;
  }

  private async look(): Promise<void> {
    const began = performance.now();
    const { registry, ends, alerts, workspace } = this.services();
    const at = this.instruments;
    const agents = registry.agents();
    const by_status = new Map<string, number>(agent_status.options.map((status) => [status, 0]));
    let deferred = 0;
    for (const { status, receipt } of agents) {
      by_status.set(status, (by_status.get(status) ?? 0) + 1);
      deferred += receipt?.cleanup.files_deferred.length ?? 0;
    }
    at.agents.reset();
    for (const [status, count] of by_status) at.agents.set({ status }, count);
    at.queue.set(by_status.get("queued") ?? 0);
    at.deferred.set(deferred);
    const waiting = [...ends.values()].filter((end) => end.waiting_for !== null).length;
    at.ends.set({ state: "working" }, ends.size - waiting);
    at.ends.set({ state: "waiting" }, waiting);
    at.alerts_firing.reset();
    for (const [cause, count] of alerts.counts()) at.alerts_firing.set({ cause }, count);
    await this.set_success();
    const hosts = agents.flatMap(({ host, status }) => (host && !is_ended(status) ? [host] : []));
    const [memory, space] = await Promise.all([this.memory.measure(hosts), disk_space(workspace)]);
    at.hosts.set({ state: "all" }, hosts.length);
    at.hosts.set({ state: "measured" }, memory.measured);
    at.host_memory.set({ kind: "rss" }, memory.rss);
    at.host_memory.set({ kind: "pss" }, memory.pss);
    at.disk.reset();
    if (space) {
      at.disk.set({ kind: "free" }, space.free);
      at.disk.set({ kind: "size" }, space.size);
    }
    at.scrape.set((performance.now() - began) / 1000);
  }

  private async set_success(): Promise<void> {
    const { values } = await this.instruments.cleanups.get();
    const all = values.reduce((sum, one) => sum + one.value, 0);
    const clear = values.find((one) => one.labels.result === "clear")?.value ?? 0;
    if (all > 0) this.instruments.success.set(clear / all);
  }
}

interface Read {
  name: string;
  help: string;
  type: unknown;
  values: { value: number; labels: Partial<Record<string, string | number>>; metricName?: string }[];
}

/** A histogram is told by how often and how long; its buckets are for /metrics. */
function as_answer(read: unknown): MetricsAnswer["metrics"][number] {
  const { name, help, type, values } = read as Read;
  const kind = String(type) as MetricsAnswer["metrics"][number]["type"];
  if (kind !== "histogram")
    return {
      name,
      help,
      type: kind,
      values: values.map(({ value, labels }) => ({ labels: labels as Record<string, string>, value })),
    };
  const told = new Map<string, { labels: Record<string, string>; count: number; sum: number }>();
  for (const { value, labels, metricName } of values) {
    if (metricName !== `${name}_sum` && metricName !== `${name}_count`) continue;
    const key = JSON.stringify(labels);
    const one = told.get(key) ?? { labels: labels as Record<string, string>, count: 0, sum: 0 };
    one[metricName === `${name}_sum` ? "sum" : "count"] = value;
    told.set(key, one);
  }
  return {
    name,
    help,
    type: kind,
    values: [...told.values()].map((one) => ({ ...one, value: one.count > 0 ? one.sum / one.count : 0 })),
  };
}
