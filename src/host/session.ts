/**
 * The tmux session in which the host is seen: which pane of which server has it, and what it means when that hangs up. Only a session that was killed
 * on purpose ends the agent; a tmux server that dies takes the view away, and nothing else.
 */
import type { PaneRequest } from "../contract/host-protocol.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { process_ref_of } from "../drivers/procfs.ts";
import type { Control } from "./control.ts";
import type { Life } from "./life.ts";
import { type PaneMark, what_became_of } from "./tmux-server.ts";
import type { HostOptions } from "./waiting.ts";

export class Session {
  /** The tmux server that has our pane: at first the one that started us. */
  tmux_server: ProcessRef | null = process_ref_of(process.ppid);
  /** Tmux is being asked: the pane may be lost. */
  judging = false;
  private pane: PaneMark = { pid: process.pid };
  private hang_ups = 0;
  private readonly leaving = new AbortController();

  constructor(
    private readonly options: Readonly<HostOptions>,
    private readonly life: Life,
    private readonly control: Control,
  ) {}

  /**
   * The pane hung up, or somebody sent the signal by hand: tmux is asked. A pane that is still there: nothing has happened. One that
   * is closed on a server that lives: the session was killed on purpose, an orderly end. A server that has died, or is being ended by hand,
   * with everybody's sessions: the agent lives on, and the daemon is told, which gives it another pane.
   */
  async judge_hang_up(): Promise<void> {
    const { options, life } = this;
    this.hang_ups++;
    if (this.judging || life.phase === "closed") return;
    this.judging = true;
    let seen: number;
    let fate: Awaited<ReturnType<typeof what_became_of>>;
    try {
      do {
        // One that comes while tmux is asked may be the true one.
        seen = this.hang_ups;
        fate = await what_became_of(this.pane, options.tmux_socket, this.tmux_server, this.leaving.signal);
      } while (seen !== this.hang_ups);
    } catch (error) {
      if ((error as Error).name !== "AbortError") throw error;
      return;
    } finally {
      this.judging = false;
    }
    // A spare without a session is of no use to anybody.
    if (fate === "closed" || (fate === "server_died" && options.spare_for))
      life.end("session_killed", life.agent?.grace_ms ?? 0, "SIGTERM");
    if (fate !== "server_died" || !life.agent) return;
    life.agent.view.close();
    this.control.send({ event: "pane", state: "lost" });
  }

  /** The agent is seen in another pane from now on. */
  async move_view(request: PaneRequest): Promise<null> {
    const { agent, phase } = this.life;
    if (!agent || phase === "closed")
      throw Object.assign(new Error("there is no agent to look at"), { code: "invalid_request" });
    await agent.move_view(request);
    this.pane = { tty: request.tty };
    this.tmux_server = request.server;
    return null;
  }

  /** The host leaves: what became of its pane is of no interest any more. */
  leave(): void {
    this.leaving.abort();
  }
}
