import { kill_agent, kill_tree, living_descendants } from "../../kill.ts";
import type { Handler } from "../handler.ts";

export const kill: Handler<"kill"> = async (services, { params, body }) => {
  const agent = await services.registry.recall(params.agent);
  const { tree, ...options } = body;
  if (tree) {
    const { receipt, descendants } = await kill_tree(services, agent, options);
    return { ...receipt, descendants };
  }
  const receipt = await kill_agent(services, agent, options);
  const left = living_descendants(services, agent).map((one) => one.id);
  return left.length > 0 ? { ...receipt, children_left: left } : receipt;
};
