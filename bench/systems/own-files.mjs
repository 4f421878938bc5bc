// What the others leave of an agent when they have ended it: their users must remove it themselves.
import { rm } from "node:fs/promises";

/** Such a system with `kill`: its own `end`, whatever it waits for then (`settle`), and the removal of the agent's files. */
export function with_kill(system, settle = async () => undefined) {
  return {
    ...system,
    async kill(agent) {
      await system.end(agent);
      await settle();
      for (const file of agent.files) await rm(file, { force: true });
    },
  };
}
