/** `supervisor findings`: what the agents of a task found. */
import type { Command } from "commander";
import { SupervisorError } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { cell, print, print_json, print_table } from "../output.ts";
import { whole_number } from "../values.ts";

export function findings_command(program: Command, context: Context): void {
  program
    .command("findings")
    .description("what the agents of a task found, the newest first")
    .argument("[task]", "default: SUPERVISOR_TASK_ID")
    .option("--agent <agent>", "only what this agent found")
    .option("--type <finding>", "only findings of this type")
    .option("--severity <severity>", "only findings of this severity")
    .option("--since <time>", "only findings after this time (ISO 8601)")
    .option("-n, --limit <count>", "at most so many", whole_number, 50)
    .action(
      async (
        given: string | undefined,
        options: { agent?: string; type?: string; severity?: string; since?: string; limit: number },
      ) => {
        const task = given ?? context.env.SUPERVISOR_TASK_ID;
        if (!task)
          throw new SupervisorError(
            "invalid_request",
            `say which task ('supervisor task ls${context.workspace_option()}' shows them)`,
          );
        const { agent, type, severity, since, limit } = options;
        const found = await (await context.client()).call("findings", {
          params: { task },
          query: { agent, finding_type: type, severity, since, limit },
        });
        if (context.json()) return print_json(found);
        if (found.findings.length === 0) return print("no findings");
        const rows = found.findings.map((one) => [
          one.timestamp,
          one.agent_id,
          cell(one.severity, 10),
          cell(one.finding_type, 16),
          cell(one.message, 80),
        ]);
        print_table(["TIME", "AGENT", "SEVERITY", "TYPE", "MESSAGE"], rows);
        if (found.total > rows.length) print(`${found.total - rows.length} more; --limit shows them`);
      },
    );
}
