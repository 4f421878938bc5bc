/**
 * Panes for agents whose tmux server died. The host of such an agent lives on and says that its view is lost; the agent is given a session on a new
 * server, with a placeholder in its pane, and the host moves its view there. Nobody has to ask: a daemon that starts does the same.
 *
 * A tmux server that is frozen is waited for without asking again and again, because what it is asked it may do later, when nobody
 * wants it any more. Sessions that should have ended meanwhile are remembered and ended when it goes on.
 */
import { rm } from "node:fs/promises";
import type { Logger } from "pino";
import type { AgentRecord } from "../contract/agent.ts";
import { is_used_up, message_of, SupervisorError } from "../contract/errors.ts";
import type { PaneState } from "../contract/host-protocol.ts";
import { placeholder_pipes } from "../contract/paths.ts";
import { is_ended } from "../contract/status.ts";
import { make_fifos } from "../drivers/fifo.ts";
import type { TmuxServer } from "../drivers/tmux/client.ts";
import { kill_sessions } from "../drivers/tmux/kill-sessions.ts";
import { new_placeholder } from "../drivers/tmux/placeholder.ts";
import { server_settled } from "../drivers/tmux/server.ts";
import { kill_session } from "../drivers/tmux/sessions.ts";
import { crash_point } from "../faults/crash-point.ts";
import type { EventLog } from "./events.ts";
import type { HostLink } from "./host-link.ts";
import type { Registry } from "./registry/registry.ts";
import { Together } from "./together.ts";

/** The first protocol version whose hosts take another pane. */
const FIRST_PROTOCOL_WITH_PANES = 2;
/** After a failure all is tried again: soon, because somebody may be waiting to attach, then seldom. In ms. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

/** What of the daemon is needed here. */
export interface Surroundings {
  runtime_dir: string;
  tmux: TmuxServer;
  registry: Registry;
  events: EventLog;
  log: Logger;
  hosts: Map<string, HostLink>;
}

/** What a session that could not be ended leaves to do. */
interface Leftover {
  session: string;
  /** In the runtime directory, made by what ran in the session after they were removed already. */
  files: string[];
  done?: () => Promise<unknown>;
}

export class Panes {
  /** Agents that wait for a pane. */
  private readonly wanted = new Map<string, AgentRecord>();
  private readonly leftovers = new Map<string, Leftover>();
  private working: Promise<void> | null = null;
  /** The agent that is given a pane at this moment, and until when. */
  private current: { id: string; done: Promise<unknown> } | null = null;
  private retry: NodeJS.Timeout | null = null;
  private retry_ms = FIRST_RETRY_MS;
  private readonly closing = new AbortController();

  /** Ends at the same time share a client of tmux. */
  private readonly kills = new Together((sessions: readonly string[]) =>
    kill_sessions(this.surroundings().tmux, sessions),
  );

  constructor(private readonly surroundings: () => Surroundings) {}

  /** Ends a session. True when it is gone, false when tmux does not answer. */
  async end(session: string): Promise<boolean> {
    return (await this.kills.ask([session])).has(session);
  }

  /** Takes note of what a host says of its view, and gives the agent another pane when it has none. Not written at once: each start asks anew. */
  note(agent: AgentRecord, state: PaneState): void {
    if (state === "lost" && agent.pane !== "lost") {
      const message = "its tmux server died; the agent runs on, and gets a pane on a new one";
      this.surroundings().events.emit({ type: "pane_lost", agent_id: agent.id, message });
    }
    agent.pane = state;
    if (state === "lost") this.want(agent);
  }

  /** A session that could not be ended now is ended when tmux answers again. */
  end_later(leftover: Leftover): void {
    this.leftovers.set(leftover.session, leftover);
    this.begin();
  }

  /** True while a session of this name is still to be ended. */
  owes(session: string): boolean {
    return this.leftovers.has(session);
  }

  /** Resolves when no pane is being made for this agent: its end must not overlook a session that is just being started. */
  async settled(agent_id: string): Promise<void> {
    this.wanted.delete(agent_id);
    if (this.current?.id === agent_id) await this.current.done;
  }

  /** Tries at once to give the agent its pane. Resolves when that worked or failed. */
  async hurry(agent: AgentRecord): Promise<void> {
    this.want(agent);
    await this.working;
  }

  /** Nothing is begun any more; resolves when nothing is under way. */
  async close(): Promise<void> {
    this.closing.abort();
    if (this.retry) clearTimeout(this.retry);
    await this.working;
  }

  private want(agent: AgentRecord): void {
    if ((agent.host?.protocol ?? 0) < FIRST_PROTOCOL_WITH_PANES) return;
    this.wanted.set(agent.id, agent);
    this.begin();
  }

  private begin(): void {
    if (this.working || this.closing.signal.aborted) return;
    if (this.retry) clearTimeout(this.retry);
    this.retry = null;
    this.working = this.work()
      .catch((error) => {
        this.surroundings().log.warn(
          { error: message_of(error), retry_ms: this.retry_ms },
          "an agent's pane could not be made, or its session not be ended; it is tried again",
        );
        return this.retry_ms;
      })
      .then((again) => {
        this.working = null;
        if (again) this.begin_later();
        else this.retry_ms = FIRST_RETRY_MS;
      });
  }

  private begin_later(): void {
    if (this.closing.signal.aborted) return;
    this.retry = setTimeout(() => this.begin(), this.retry_ms);
    this.retry_ms = Math.min(this.retry_ms * 2, LAST_RETRY_MS);
  }

  /** All there is to do, one after the other: many at once would only wait for each other in the server. */
  private async work(): Promise<0> {
    const { tmux } = this.surroundings();
    let failure: unknown = null;
    const failed = new Set<string>();
    for (;;) {
      await server_settled(tmux, this.closing.signal);
      if (this.closing.signal.aborted) return 0;
      for (const leftover of this.leftovers.values()) await this.end_leftover(leftover);
      const next = [...this.wanted.values()].find((agent) => !failed.has(agent.id));
      if (!next) break;
      const done = this.give(next).catch((error) => {
        // The others have their turn before it is tried again.
        failure = error;
        failed.add(next.id);
      });
      this.current = { id: next.id, done };
      await done;
      this.current = null;
      if (!failed.has(next.id)) this.wanted.delete(next.id);
    }
    if (failure) throw failure;
    return 0;
  }

  private async end_leftover({ session, files, done }: Leftover): Promise<void> {
    if ((await kill_session(this.surroundings().tmux, session)) === "unknown")
      throw new SupervisorError("tmux_failed", `tmux does not answer; the session ${session} is still to be ended`);
    await Promise.all(files.map((path) => rm(path, { force: true })));
    this.leftovers.delete(session);
    await done?.();
  }

  private async give(agent: AgentRecord): Promise<void> {
    const { hosts, tmux, registry, events, runtime_dir } = this.surroundings();
    if (!registry.has(agent) || agent.ending || is_ended(agent.status)) return;
    const link = hosts.get(agent.id);
    // A host that is gone is somebody else's business: the end of its agent.
    if (!link || (await link.hello()).pane !== "lost") return;
    const name = agent.tmux_session as string;
    const { life, sizes } = placeholder_pipes(runtime_dir, agent.id);
    const remove_pipes = () => Promise.all([life, sizes].map((path) => rm(path, { force: true })));
    await remove_pipes();
    try {
      // What stands there can only be a placeholder that a daemon before us did not bring to an end.
      await kill_session(tmux, name);
      await make_fifos(life, sizes);
      crash_point("pane.pipes_made");
      const { tty, server } = await new_placeholder(tmux, name, life, sizes);
      crash_point("pane.placeholder_started");
      await link.request({ type: "pane", tty, life, sizes, server });
      crash_point("pane.moved");
    } catch (error) {
      await remove_pipes();
      const killed = await kill_session(tmux, name).catch(not_told);
      if (killed === "unknown") this.leftovers.set(name, { session: name, files: [] });
      if (agent.ending || is_ended(agent.status)) return;
      throw error;
    }
    agent.pane = "open";
    link.pane = "open";
    events.emit({ type: "pane_restored", agent_id: agent.id, message: "it has a pane on a new tmux server" });
  }
}

/** A session that tmux could not be told to end, for want of a descriptor, is still to be ended. */
export function not_told(error: unknown): "unknown" {
  if (is_used_up(error)) return "unknown";
  throw error;
}
