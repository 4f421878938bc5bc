/** Ended agents leave the registry when they are old, or more than are to stay: the size of a registry follows what runs. */
import { leave, may_leave } from "../retention/leave.ts";
import type { Sweep } from "./sweep.ts";

export async function departing_agents(sweep: Sweep): Promise<void> {
  const { services } = sweep;
  const { ended_minutes, ended_in_registry } = services.config.retention;
  for (const task of services.registry.tasks.values()) {
    const over = [...task.agents.values()]
      .filter(may_leave)
      .sort((a, b) => (a.ended_at ?? "").localeCompare(b.ended_at ?? ""));
    for (const [index, agent] of over.entries()) {
      const too_many = over.length - index > ended_in_registry;
      const too_old = services.ages.age_of(Date.parse(agent.ended_at ?? "")) >= ended_minutes * 60_000;
      if (!too_many && !too_old) continue;
      const why = `it ended ${too_old ? `more than ${ended_minutes} minutes ago` : "and is not among the last ones"}; its record moves to ${task.journal.path}`;
      await sweep.dispose({ what: "ended_agent", path: agent.id, why }, () => leave(services, task, [agent]), {
        action: "move",
      });
      if (sweep.dry_run) sweep.would_leave.push({ task, agent });
    }
  }
}
