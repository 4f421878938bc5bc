/** Entries of a registry that are no agents, and lines of a journal that are no receipts: whose they are nobody can tell. */
import type { Task } from "../registry/task.ts";

export const has_strange_entries = ({ store, agents }: Task): boolean => store.data.agents.length !== agents.size;

/** True when an agent that is not known may be one of the task's all the same. */
export const has_unreadable = (task: Task): boolean => has_strange_entries(task) || task.journal.unreadable > 0;
