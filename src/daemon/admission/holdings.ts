/**
 * Keeps what waits in the memory of the tmux server (`held`), through the deaths of tmux servers: whoever waits is to survive the next death of the
 * daemon, too. Hosts tell of a server that died; where nobody runs, the queue's own look, every few seconds, finds another server in its place, or none.
 */
import type { AgentRecord } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { server_mark } from "../../drivers/tmux/lives.ts";
import type { DeployPlan } from "../profiles/plan.ts";
import type { Services } from "../services.ts";
import { all_held, hold, let_go } from "./held.ts";
import type { Line } from "./line.ts";

export class Holdings {
  /** The server that has all of it, as far as it is known. */
  private keeper: string | null = null;

  constructor(
    private readonly surroundings: () => Pick<Services, "tmux" | "log" | "registry">,
    private readonly line: Line,
  ) {}

  /** Durable, as far as the tmux server is, when it resolves. Rejects with `tmux_failed`. */
  async hold(agent: AgentRecord, plan: DeployPlan): Promise<void> {
    const { tmux } = this.surroundings();
    await hold(tmux, agent.id, plan);
    const now = await this.mark();
    // The server that has the others' died meanwhile.
    if (this.keeper !== null && now !== this.keeper) void this.hold_again();
    else this.keeper = now;
  }

  /** Never rejects: what stays is forgotten at the next start. */
  async let_go(agent: AgentRecord): Promise<void> {
    const { tmux, log } = this.surroundings();
    await let_go(tmux, agent.id).catch((error) =>
      log.warn(
        { agent_id: agent.id, error: message_of(error) },
        "what tmux held of a queued agent stays until the next start",
      ),
    );
  }

  /** What an earlier daemon had held for those that wait, by agent; what nobody waits for any more is forgotten. Rejects with `tmux_failed`. */
  async take_over(): Promise<Map<string, DeployPlan>> {
    const { tmux, registry } = this.surroundings();
    const keeper = await this.mark();
    const held = await all_held(tmux);
    this.keeper = keeper;
    const known = new Map(registry.agents().map((agent) => [agent.id, agent]));
    for (const id of held.keys()) {
      const status = known.get(id)?.status;
      if (status !== "queued" && status !== "deploying") await let_go(tmux, id);
    }
    return held;
  }

  /** Gives all of it to the next server. Never rejects. */
  async hold_again(): Promise<void> {
    const { tmux, log } = this.surroundings();
    this.keeper = null;
    let all = true;
    for (const { agent, plan } of this.line.turns())
      if (plan && this.line.get(agent.id))
        await hold(tmux, agent.id, plan).catch((error) => {
          all = false;
          log.warn(
            { agent_id: agent.id, error: message_of(error) },
            "a queued agent would not survive the supervisor now",
          );
        });
    if (all) this.keeper = await this.mark();
  }

  /** As `hold_again`, if the server that had it is not there any more. */
  async hold_again_if_lost(): Promise<void> {
    const waits = this.line.turns().some(({ plan }) => plan !== null);
    if (waits && (this.keeper === null || (await this.mark()) !== this.keeper)) await this.hold_again();
  }

  /** Null where there is no server, or nobody can tell: then it is held once more, which changes nothing. */
  private mark(): Promise<string | null> {
    return server_mark(this.surroundings().tmux.socket).catch(() => null /* no descriptor is free */);
  }
}
