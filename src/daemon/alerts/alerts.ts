/**
 * Alerts: what is the matter is compared with what was, now and then and after each event that may change it. What is new fires, once for each
 * cause and agent; what is over is resolved. An alert is an event, a log line, and is handed to whoever the user named. This daemon knows
 * what it told itself: the next one tells again of what still holds.
 */
import type { Logger } from "pino";
import type { AgentRecord } from "../../contract/agent.ts";
import type { Alert, AlertCause } from "../../contract/alert.ts";
import type { SupervisorConfig } from "../../contract/config.ts";
import { message_of } from "../../contract/errors.ts";
import type { HostState } from "../../contract/host-state.ts";
import type { SupervisorEvent } from "../../contract/operations/supervisor.ts";
import type { Receipt } from "../../contract/receipt.ts";
import { disk_space } from "../disk-space.ts";
import type { EventLog } from "../events.ts";
import type { Registry } from "../registry/registry.ts";
import { type Condition, conditions_of, key_of } from "./conditions.ts";
import { Delivery, type DeliveryResult } from "./delivery.ts";
import { hook_sender } from "./hook.ts";
import { webhook_sender } from "./webhook.ts";

/** An alert is read on a phone, and must fit into a pipe's buffer (64 KB, pipe(7)) in front of a program that does not read. In characters. */
const MESSAGE_LIMIT = 2000;

/** After these something may be the matter, or not any more. */
const TELLING: ReadonlySet<SupervisorEvent["type"]> = new Set([
  "agent_end_waiting",
  "agent_ended",
  "agent_adopted",
  "files_removed",
  "warning",
]);

/** What it needs of the daemon. */
export interface AlertSources {
  workspace: string;
  runtime_dir: string;
  base_env: Record<string, string>;
  config: SupervisorConfig;
  registry: Registry;
  events: EventLog;
  log: Logger;
  host_states: ReadonlyMap<string, { state: HostState; reason: string; since_ms: number }>;
  ends: ReadonlyMap<string, { waiting_for: unknown }>;
}

export class Alerts {
  private readonly firing = new Map<string, Alert>();
  private readonly deliveries: Delivery[] = [];
  private timer: NodeJS.Timeout | undefined;
  private stop_listening = () => {};
  private checking: Promise<void> = Promise.resolve();
  private busy = false;
  private again = false;
  private stopped = false;

  constructor(
    private readonly services: () => AlertSources,
    /** Counts, for the metrics. */
    private readonly counted: {
      alert: (alert: Alert) => void;
      delivery: (channel: string, result: DeliveryResult) => void;
    },
  ) {}

  /** Looks from now on. */
  start(): void {
    const services = this.services();
    const { command, webhook, timeout_seconds, retry_seconds, check_seconds } = services.config.alerts;
    const [timeout_ms, pause_ms] = [timeout_seconds * 1000, retry_seconds * 1000];
    const { delivery } = this.counted;
    const { runtime_dir, base_env: env, log } = services;
    if (command) {
      const send = hook_sender({ command, timeout_ms, runtime_dir, env });
      this.deliveries.push(new Delivery("command", send, pause_ms, log, delivery));
    }
    if (webhook)
      this.deliveries.push(new Delivery("webhook", webhook_sender(webhook, timeout_ms), pause_ms, log, delivery));
    this.stop_listening = services.events.listen(({ type }) => {
      if (TELLING.has(type)) this.look();
    });
    this.timer = setInterval(() => this.look(), check_seconds * 1000);
    this.look();
  }

  /** Ends what is being delivered, and the user's program with it. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    this.stop_listening();
    await this.checking;
    const left = await Promise.all(this.deliveries.map((one) => one.stop()));
    const count = left.reduce((sum, one) => sum + one, 0);
    if (count > 0) this.services().log.warn({ count }, "alerts were not delivered: the supervisor stops");
  }

  /** What is firing now, by cause. */
  counts(): Map<AlertCause, number> {
    const counts = new Map<AlertCause, number>();
    for (const { cause } of this.firing.values()) counts.set(cause, (counts.get(cause) ?? 0) + 1);
    return counts;
  }

  /** An end is complete: facts about it are told, once. */
  ended(agent: AgentRecord, { cleanup, status, reason }: Receipt): void {
    const { files_failed, survivors } = cleanup;
    if (status === "lost")
      this.tell(this.made("firing", { cause: "agent_lost", agent_id: agent.id, message: `it was lost: ${reason}` }));
    if (files_failed.length + survivors.length === 0) return;
    const message = `its cleanup failed: ${[
      ...survivors.map((one) => `${one.command} (pid ${one.pid}) survived`),
      ...files_failed.map((one) => `${one.path}: ${one.error}`),
    ].join("; ")}`;
    this.tell(this.made("firing", { cause: "cleanup_failed", agent_id: agent.id, message }));
  }

  /** A file was removed as free, and somebody has it: told each time. */
  disputed(agent_id: string | null, message: string): void {
    this.tell(this.made("firing", { cause: "verdict_disputed", agent_id, message }));
  }

  /** Looks soon; calls that come meanwhile share one look. */
  private look(): void {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.checking = this.check_while_asked();
  }

  private async check_while_asked(): Promise<void> {
    do {
      this.again = false;
      await this.check().catch((error) =>
        this.services().log.error({ error: message_of(error) }, "what is the matter could not be found out"),
      );
    } while (this.again && !this.stopped);
    this.busy = false;
  }

  private async check(): Promise<void> {
    const { workspace, registry, host_states, ends, config } = this.services();
    const space = config.alerts.disk_free_bytes > 0 ? await disk_space(workspace) : null;
    if (this.stopped) return;
    const waits = [...ends].map(([id, end]): [string, string | null] => [
      id,
      end.waiting_for === null ? null : message_of(end.waiting_for),
    ]);
    const facts = {
      now_ms: Date.now(),
      agents: registry.agents(),
      host_states,
      ends: new Map(waits),
      disk_free_bytes: space?.free ?? null,
      config: config.alerts,
    };
    const found = new Map(conditions_of(facts, new Set(this.firing.keys())).map((one) => [key_of(one), one]));
    for (const [key, condition] of found) {
      if (this.firing.has(key)) continue;
      const alert = this.made("firing", condition);
      this.firing.set(key, alert);
      this.tell(alert);
    }
    for (const [key, alert] of this.firing) {
      if (found.has(key)) continue;
      this.firing.delete(key);
      this.tell({ ...alert, state: "resolved", at: new Date().toISOString() });
    }
  }

  private made(state: Alert["state"], { cause, agent_id, message }: Condition): Alert {
    const { registry, workspace } = this.services();
    const agent = agent_id === null ? null : registry.agents().find((one) => one.id === agent_id);
    const at = new Date().toISOString();
    const task_id = agent ? registry.task_of(agent).task_id : null;
    return {
      type: "alert",
      state,
      cause,
      agent_id,
      task_id,
      message: message.slice(0, MESSAGE_LIMIT),
      since: at,
      at,
      workspace,
    };
  }

  private tell(alert: Alert): void {
    const { events, log } = this.services();
    const { state, cause, agent_id, message } = alert;
    this.counted.alert(alert);
    events.emit({ type: "alert", agent_id, message: `${cause} ${state}: ${message}`, alert });
    log[state === "firing" ? "error" : "info"]({ alert: cause, state, agent_id }, message);
    for (const delivery of this.deliveries) delivery.push(alert);
  }
}
