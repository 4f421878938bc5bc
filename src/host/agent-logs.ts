/** An agent's logs together: whether one of them holds its output up, and the limit that is theirs. */
import type { LaunchSpec } from "../contract/host-protocol.ts";
import type { LogLimit } from "../contract/log-limit.ts";
import { parts_record_path } from "../contract/paths.ts";
import { crash_point } from "../faults/crash-point.ts";
import { LogFile } from "./log-file.ts";

const NO_LIMIT: LogLimit = { max_bytes: null, full: "rotate" };

export interface LogEvents {
  /** A log cannot be written, for this reason; null when all of them can be again. */
  on_stall(reason: string | null): void;
  /** A full part of a log got this number. */
  on_rotated(role: string, number: number): void;
}

export class AgentLogs {
  private readonly logs: LogFile[] = [];
  private readonly limit: LogLimit;
  /** What was told last. */
  private told: string | null = null;
  private max_bytes: number | null;

  constructor(
    private readonly spec: Pick<LaunchSpec, "exit_record" | "log_limit">,
    private readonly events: LogEvents,
  ) {
    this.limit = spec.log_limit ?? NO_LIMIT;
    this.max_bytes = this.limit.max_bytes;
  }

  /** Makes a log. Rejects with the system's error when it cannot be made; then it is none of these. */
  async open(role: string, path: string): Promise<LogFile> {
    const log = await LogFile.open(path, {
      limit: this.limit,
      parts_record: parts_record_path(this.spec.exit_record),
      on_stall: () => this.tell_stall(),
      on_rotated: (number) => this.events.on_rotated(role, number),
    });
    this.logs.push(log);
    crash_point("host.log_opened");
    return log;
  }

  paths(): string[] {
    return this.logs.map((log) => log.path);
  }

  /** Why output is held up, or null. */
  stalled(): string | null {
    return this.logs.find((log) => log.stalled)?.stalled ?? null;
  }

  /** In bytes; null for none. */
  log_max(): number | null {
    return this.max_bytes;
  }

  /** Another limit; null for none. */
  set_log_max(max_bytes: number | null): void {
    this.max_bytes = max_bytes;
    for (const log of this.logs) log.set_max_bytes(max_bytes);
  }

  /** The agent is being ended: no limit holds its output up any more. */
  lift_limit(): void {
    for (const log of this.logs) log.lift();
  }

  /** One log that goes on says nothing while the other is still held up. */
  private tell_stall(): void {
    const now = this.stalled();
    if (now === this.told) return;
    this.told = now;
    this.events.on_stall(now);
  }
}
