/** Commands on tasks and on the supervisor itself: task, gc, stop. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { cell, print, print_json, printable, table } from "../output.ts";

export function daemon_commands(program: Command, context: Context): void {
  const task = program.command("task").description("tasks: groups of agents");
  task
    .command("create")
    .argument("<description>")
    .action(async (description: string) => {
      const created = await (await context.client()).call("create_task", { body: { description } });
      if (context.json()) print_json(created);
      else print(created.task_id);
    });
  task.command("ls").action(async () => {
    const tasks = await (await context.client()).call("list_tasks");
    if (context.json()) return print_json(tasks);
    print(
      tasks.length === 0
        ? "no tasks"
        : table(
            ["TASK", "AGENTS", "DESCRIPTION"],
            tasks.map((one) => [one.task_id, counts(one.agents), cell(one.task_description, 60)]),
          ),
    );
  });
  task
    .command("status")
    .argument("<task>")
    .action(async (id: string) => {
      const found = await (await context.client()).call("get_task", { params: { task: id } });
      if (context.json()) return print_json(found);
      print(`${found.task_id}  ${printable(found.task_description)}`);
      print(
        found.agent_records.length === 0
          ? "no agents"
          : table(
              ["AGENT", "STATUS", "PROGRESS", "MESSAGE"],
              found.agent_records.map((one) => [one.id, one.status, `${one.progress} %`, cell(one.message, 60)]),
            ),
      );
    });
  program
    .command("gc")
    .description("try deferred removals again now")
    .option("--dry-run", "only say what would be removed", false)
    .action(async (options: { dryRun: boolean }) => {
      const result = await (await context.client()).call("gc", { body: { dry_run: options.dryRun } });
      if (context.json()) return print_json(result);
      for (const path of result.removed) print(`${options.dryRun ? "would remove" : "removed"} ${path}`);
      for (const file of result.deferred)
        print(
          `${file.verdict} ${file.path}${file.holders.map((one) => ` by ${printable(one.command)} (pid ${one.pid})`).join(",")}`,
        );
      if (result.removed.length + result.deferred.length === 0) print("nothing is waiting for removal");
    });
  program
    .command("stop")
    .description("stop the supervisor; its agents go on unless --agents")
    .option("--agents", "end all agents first", false)
    .action(async (options: { agents: boolean }) => {
      const answer = await (await context.client()).call("stop", { body: { agents: options.agents } });
      if (context.json()) return print_json(answer);
      print(
        `the supervisor stops; ${answer.agents_running === 0 ? "no agents are running" : `${answer.agents_running} agents go on`}${options.agents ? ` (${answer.receipts.length} ended)` : ""}`,
      );
    });
}

const counts = (agents: Record<string, number>) =>
  Object.entries(agents)
    .map(([status, count]) => `${count} ${status}`)
    .join(", ") || "none";
