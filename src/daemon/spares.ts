/**
 * Spare hosts: started before they are needed, so that a deploy need not wait for one to boot. Run by the daemon; owns the spares' processes, their
 * sessions and their sockets. A spare belongs to no agent, and is in no registry, on no list and in no limit. It leaves by itself when this daemon is
 * gone: it waits for as long as its connection lasts. What a spare that was killed leaves has the names of a host's files, and is swept like
 * them. A spare that cannot be made, or that does not answer, costs a deploy nothing but its head start.
 *
 * One is made where none is, and only when nothing is being deployed: a boot takes as long a turn of the processor as it saves later. So a burst is
 * begun without spares after the first, and no more are made for it afterwards: each would take memory for a burst that may never come again.
 */
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { AgentRecord } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import { new_agent_id, short_agent_id } from "../contract/ids.ts";
import { host_socket, host_stderr } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { available_memory } from "../drivers/free.ts";
import { stopped_server } from "../drivers/tmux/client.ts";
import { kill_session } from "../drivers/tmux/sessions.ts";
import { crash_point } from "../faults/crash-point.ts";
import { end_host, still_there } from "./end-host.ts";
import type { HostLink } from "./host-link.ts";
import { forward_events } from "./hosts.ts";
import { not_told } from "./panes.ts";
import type { ReadyHost, Services, SpareHosts, TakenSpare } from "./services.ts";
import { start_host } from "./start-host.ts";

/** A host boots in about 75 ms. One that takes so much longer hangs, or all do: another one is booted beside it. In ms. */
const CLAIM_DEADLINE_MS = 2_000;

/** Its session has its id as name: no agent's session is called so. */
interface Spare {
  id: string;
  link: HostLink;
  host: ProcessRef & { protocol: number };
}

export class Spares implements SpareHosts {
  private readonly ready: Spare[] = [];
  /** The one that is being made; null when it could not be. A deploy may have claimed it. Never rejects. */
  private coming: { spare: Promise<Spare | null>; claimed: boolean } | null = null;
  private readonly clearing = new Set<Promise<void>>();
  /** Whose session and files are this daemon's business: from before they are made until they are gone, or an agent's. */
  private readonly cared_for = new Set<string>();
  private readonly closing = new AbortController();

  constructor(
    private readonly services: () => Services,
    /** How many to keep; 0 for none. */
    private readonly count: number,
  ) {}

  fill(): void {
    const { deploys, stopping, config, log } = this.services();
    if (this.coming || this.ready.length >= this.count || deploys.size > 0 || stopping || this.closing.signal.aborted)
      return;
    const available = available_memory();
    if (available !== null && available < config.limits.min_free_memory) {
      log.debug({ available }, "no spare host is made: less memory is available than limits.min_free_memory");
      return;
    }
    const coming = { spare: this.make_one(), claimed: false };
    this.coming = coming;
    void coming.spare.then((spare) => {
      this.coming = null;
      if (spare && !coming.claimed) this.keep(spare);
      // After a failure the next deploy has it tried again.
      if (spare) this.fill();
    });
  }

  prepare(): void {
    if (this.services().containment.seat) this.ready[0]?.link.prepare();
  }

  take(): TakenSpare | null {
    // The session could not be named: a start of its own says why.
    if (stopped_server(this.services().tmux)) return null;
    const spare = this.ready.shift();
    return spare ? this.taken(spare) : null;
  }

  async take_coming(): Promise<TakenSpare | null> {
    const spare = stopped_server(this.services().tmux) ? null : await this.claim_coming();
    return spare && this.taken(spare);
  }

  private taken(spare: Spare): TakenSpare {
    crash_point("spare.taken");
    return { host: spare.host, session: spare.id, become: (agent) => this.become(spare, agent) };
  }

  private async become(spare: Spare, agent: AgentRecord): Promise<ReadyHost | null> {
    const services = this.services();
    const socket = host_socket(services.runtime_dir, agent.id);
    try {
      const on_event = forward_events(services, agent.id);
      const facts = await spare.link.become(agent.id, socket, agent.cgroups.length > 0, on_event);
      crash_point("spare.became");
      this.cared_for.delete(spare.id);
      return { link: spare.link, facts, session: spare.id };
    } catch (error) {
      services.log.warn({ agent_id: agent.id, error: message_of(error) }, "a spare host could not be used");
      await this.dismiss(spare).catch((failed) => this.not_cleared(failed));
      // Under this name only if it became the agent's.
      await rm(socket, { force: true }).catch((failed) => this.not_cleared(failed));
      return null;
    }
  }

  owns(id_or_short_id: string): boolean {
    return [...this.cared_for].some((id) => id === id_or_short_id || short_agent_id(id) === id_or_short_id);
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.coming?.spare;
    await Promise.all(
      this.ready.splice(0).map((spare) => this.dismiss(spare).catch((failed) => this.not_cleared(failed))),
    );
    await Promise.all(this.clearing);
  }

  private async claim_coming(): Promise<Spare | null> {
    if (!this.coming || this.coming.claimed) return null;
    const { coming } = this;
    // It is further on its way than another one would be.
    coming.claimed = true;
    const timer = new AbortController();
    const late = delay(CLAIM_DEADLINE_MS, "late" as const, { signal: timer.signal }).catch(() => null);
    const spare = await Promise.race([coming.spare, late]);
    timer.abort();
    if (spare !== "late") return spare;
    coming.claimed = false;
    return null;
  }

  private keep(spare: Spare): void {
    this.ready.push(spare);
    void spare.link.gone.then(() => this.lost(spare));
    crash_point("spare.ready");
  }

  private async make_one(): Promise<Spare | null> {
    const { log, registry } = this.services();
    let id = new_agent_id("spare", new Date());
    while (registry.is_taken(short_agent_id(id))) id = new_agent_id("spare", new Date());
    this.cared_for.add(id);
    try {
      return await this.make(id);
    } catch (error) {
      if (!this.closing.signal.aborted) log.warn({ error: message_of(error) }, "no spare host could be made");
      // One that dies in between, or does not answer, leaves what a spare leaves.
      await this.clear(id).catch((failed) => this.not_cleared(failed));
      return null;
    }
  }

  private async make(id: string): Promise<Spare> {
    const { link, facts } = await start_host(this.services(), {
      id,
      session: id,
      spare: true,
      on_event: () => {},
      on_session: () => crash_point("spare.started"),
      signal: this.closing.signal,
    });
    return { id, link, host: { ...facts.host, protocol: facts.protocol } };
  }

  /** A spare that was killed, or whose session was ended, is nobody's any more; one that was taken or dismissed is no concern of this. */
  private async lost(spare: Spare): Promise<void> {
    const at = this.ready.indexOf(spare);
    if (at < 0) return;
    this.ready.splice(at, 1);
    const clearing = this.clear(spare.id).catch((error) => this.not_cleared(error));
    this.clearing.add(clearing);
    await clearing;
    this.clearing.delete(clearing);
  }

  private not_cleared(error: unknown): void {
    this.services().log.warn({ error: message_of(error) }, "what a spare host left could not be removed");
  }

  /** Killed, because it has nothing to finish: one that is stopped would not hear anything else. */
  private async dismiss({ id, link, host }: Spare): Promise<void> {
    link.close();
    const gone = await end_host(host);
    crash_point("spare.dismissed");
    await this.clear(id);
    if (!gone) throw still_there(host);
  }

  private async clear(id: string): Promise<void> {
    const { runtime_dir, tmux, panes } = this.services();
    const socket = host_socket(runtime_dir, id);
    const files = [socket, `${socket}.new`, host_stderr(runtime_dir, id)];
    if ((await kill_session(tmux, id).catch(not_told)) === "unknown") panes.end_later({ session: id, files });
    await Promise.all(files.map((path) => rm(path, { force: true })));
    this.cared_for.delete(id);
  }
}
