/**
 * A host before it has its agent. One that nobody gives an agent within a deadline leaves.
 *
 * A spare host is started before its agent is known, and told later whose it is (`become`). It waits for as long as the daemon that started it is
 * connected, and leaves with it: a spare is of no use to another daemon. Once it has an agent it waits for the launch like any other.
 */
import { renameSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { deferred } from "../contract/deferred.ts";
import { ignore_abort } from "../contract/errors.ts";
import type { HostRequest } from "../contract/host-protocol.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { is_alive } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import type { Control } from "./control.ts";

/** A daemon connects and launches within milliseconds; one that died in between never will. In ms. */
const LAUNCH_DEADLINE_MS = 30_000;
/** How often a spare that waits for its daemon's connection looks whether that lives: it is not told of the death of a process that is no child of its own. In ms. */
const DAEMON_LOOK_MS = 250;

export interface HostOptions {
  /** Of a spare: a name of its own, until it is told another. */
  agent_id: string;
  socket: string;
  /** Of a spare: the daemon it is for. Null once it has an agent, and for any other host. */
  spare_for: ProcessRef | null;
  /** The tmux server's socket, by which a killed session is told from a dead server. */
  tmux_socket: string;
}

export class Waiting {
  private readonly became = deferred();
  /** Ends the wait for a launch, with its timer: a host that has its agent wakes up for nothing. */
  private readonly waited = new AbortController();

  constructor(
    private readonly options: HostOptions,
    private readonly control: Control,
  ) {}

  /** A spare is this agent's from now on. The socket keeps its listener and its connections under the new name. */
  become({ agent_id, socket }: Extract<HostRequest, { type: "become" }>): void {
    renameSync(this.options.socket, socket);
    Object.assign(this.options, { agent_id, socket, spare_for: null });
    this.became.resolve();
    crash_point("host.became");
  }

  /** Resolves when no launch will come any more. A spare without an agent is deserted when the daemon that started it is gone, or never came. */
  async deserted(): Promise<void> {
    const { options, control, waited } = this;
    const late = () => delay(LAUNCH_DEADLINE_MS, undefined, { ref: true, signal: waited.signal }).catch(ignore_abort);
    if (options.spare_for) {
      const too_late = late().then(() => true);
      const came = control.came.then(() => true);
      // One that died while this booted will never come.
      do if (!is_alive(options.spare_for)) return;
      while (!(await Promise.race([came, too_late, delay(DAEMON_LOOK_MS, false)])));
      await Promise.race([control.gone(), this.became.promise]);
    }
    if (!options.spare_for) await late();
  }

  /** Nobody waits any more. */
  end(): void {
    this.waited.abort();
  }
}
