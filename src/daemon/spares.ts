/**
 * Spare hosts: started before they are needed, so that a deploy need not wait for one to boot (about 75 ms of its 85). A spare belongs to no agent and
 * is in no registry. It leaves by itself when this daemon is gone: it waits for as long as its connection lasts. What a spare that was killed
 * leaves has the names of a host's files, and is swept like them. A spare that cannot be made or used costs a deploy nothing but its head start.
 */
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { signal_process } from "../containment/end-family.ts";
import type { AgentRecord } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import { new_agent_id } from "../contract/ids.ts";
import { host_socket, host_stderr } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { is_alive } from "../drivers/procfs.ts";
import { kill_session, rename_session } from "../drivers/tmux.ts";
import type { HostLink } from "./host-link.ts";
import { forward_events } from "./hosts.ts";
import { not_told } from "./panes.ts";
import type { Services, SpareHosts } from "./services.ts";
import { start_host } from "./start-host.ts";

/** A host whose daemon hangs up leaves within milliseconds. One that is stopped is killed after this: it has no agent. In ms. */
const LEAVE_DEADLINE_MS = 3_000;
/** How often is looked whether it has left: nobody tells of the death of another's child. In ms. */
const LOOK_MS = 2;

interface Spare {
  id: string;
  session: string;
  link: HostLink;
  host: ProcessRef;
}

export class Spares implements SpareHosts {
  private readonly ready: Spare[] = [];
  private filling: Promise<void> | null = null;
  private readonly clearing = new Set<Promise<void>>();
  private closed = false;

  constructor(
    private readonly services: () => Services,
    /** How many to keep; 0 for none. */
    private readonly count: number,
  ) {}

  /** Makes what is missing, in the background. After a failure the next deploy has it tried again. */
  fill(): void {
    if (this.closed || this.filling || this.ready.length >= this.count) return;
    this.filling = this.make_missing()
      .catch((error) => this.services().log.warn({ error: message_of(error) }, "no spare host could be made"))
      .finally(() => {
        this.filling = null;
      });
  }

  /** A spare that becomes this agent's host, in the agent's session; null when there is none, or it could not: then nothing is left of it. */
  async take(agent: AgentRecord): Promise<HostLink | null> {
    const spare = this.ready.shift();
    if (!spare) return null;
    const services = this.services();
    try {
      const socket = host_socket(services.runtime_dir, agent.id);
      await rename_session(services.tmux, spare.session, agent.tmux_session as string);
      await spare.link.become(agent.id, socket, forward_events(services, agent.id));
      return spare.link;
    } catch (error) {
      services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a spare host could not be used");
      await this.dismiss(spare, [spare.session, agent.tmux_session as string]);
      return null;
    }
  }

  /** Sends all spares away. Resolves when they have left; nothing is made any more. */
  async close(): Promise<void> {
    this.closed = true;
    await this.filling;
    await Promise.all(this.ready.splice(0).map((spare) => this.dismiss(spare, [spare.session])));
    await Promise.all(this.clearing);
  }

  private async make_missing(): Promise<void> {
    while (!this.closed && this.ready.length < this.count) {
      const id = new_agent_id("spare", new Date());
      const session = id;
      // One that dies in between, or does not answer, leaves what a spare leaves.
      const spare = await this.make(id, session).catch(async (error) => {
        await this.clear(id, [session]);
        throw error;
      });
      this.ready.push(spare);
      void spare.link.gone.then(() => this.lost(spare));
    }
  }

  private async make(id: string, session: string): Promise<Spare> {
    const link = await start_host(this.services(), { id, session, spare: true, on_event: () => {} });
    try {
      const { host } = await link.hello();
      return { id, session, link, host };
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** A spare that was killed, or whose session was ended, is nobody's any more; one that was taken or dismissed is no concern of this. */
  private async lost(spare: Spare): Promise<void> {
    const at = this.ready.indexOf(spare);
    if (at < 0) return;
    this.ready.splice(at, 1);
    const clearing = this.clear(spare.id, [spare.session]).catch((error) =>
      this.services().log.warn({ error: message_of(error) }, "what a spare host left could not be removed"),
    );
    this.clearing.add(clearing);
    await clearing;
    this.clearing.delete(clearing);
  }

  private async dismiss({ id, link, host }: Spare, sessions: string[]): Promise<void> {
    link.close();
    const deadline = performance.now() + LEAVE_DEADLINE_MS;
    while (is_alive(host) && performance.now() < deadline) await delay(LOOK_MS);
    signal_process(host, "SIGKILL");
    await this.clear(id, sessions);
  }

  private async clear(id: string, sessions: string[]): Promise<void> {
    const { runtime_dir, tmux, panes } = this.services();
    const files = [host_socket(runtime_dir, id), host_stderr(runtime_dir, id)];
    for (const session of sessions)
      if ((await kill_session(tmux, session).catch(not_told)) === "unknown") panes.end_later({ session, files });
    await Promise.all(files.map((path) => rm(path, { force: true })));
  }
}
