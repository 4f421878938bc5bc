/** `supervisor task`: groups of agents. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { cell, print, print_json, print_table } from "../output.ts";
import { whole_number } from "../values.ts";

export function task_command(program: Command, context: Context): void {
  const task = program.command("task").description("tasks: groups of agents");
  task
    .command("create")
    .description("make a task, with limits of its own; prints its id")
    .argument("<description>")
    .option("--max-agents <n>", "at most so many living agents, queued ones included", whole_number)
    .option("--max-concurrent <n>", "at most so many at once; more are queued", whole_number)
    .option("--max-depth <n>", "how deep agents may deploy agents; 1 = no children", whole_number)
    .action(async (description: string, limits: { maxAgents?: number; maxConcurrent?: number; maxDepth?: number }) => {
      const { maxAgents: max_agents, maxConcurrent: max_concurrent, maxDepth: max_depth } = limits;
      const body = { description, max_agents, max_concurrent, max_depth };
      const created = await (await context.client()).call("create_task", { body });
      if (context.json()) print_json(created);
      else print(created.task_id);
    });
  task
    .command("ls")
    .description("all tasks, and how many agents of each status they have")
    .action(async () => {
      const tasks = await (await context.client()).call("list_tasks");
      if (context.json()) return print_json(tasks);
      if (tasks.length === 0) return print("no tasks");
      print_table(
        ["TASK", "AGENTS", "DESCRIPTION"],
        tasks.map((one) => [one.task_id, counts(one.agents), cell(one.task_description, 60)]),
      );
    });
  task
    .command("status")
    .description("one task's agents: status, progress, last message")
    .argument("<task>")
    .action(async (id: string) => {
      const found = await (await context.client()).call("get_task", { params: { task: id } });
      if (context.json()) return print_json(found);
      print(`${found.task_id}  ${found.task_description}`);
      if (found.agent_records.length === 0) return print("no agents");
      print_table(
        ["AGENT", "STATUS", "PROGRESS", "MESSAGE"],
        found.agent_records.map((one) => [one.id, one.status, `${one.progress} %`, cell(one.message, 60)]),
      );
    });
}

const counts = (agents: Record<string, number>) =>
  Object.entries(agents)
    .map(([status, count]) => `${count} ${status}`)
    .join(", ") || "none";
