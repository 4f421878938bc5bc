/** `supervisor progress`: an agent says how far it is. */
import type { Command } from "commander";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";
import { reporter_of } from "../reporter.ts";
import { whole_number } from "../values.ts";

export function progress_command(program: Command, context: Context): void {
  program
    .command("progress")
    .description("report progress; status 'completed' or 'failed' ends the agent")
    .requiredOption("--status <state>", "working, blocked, or another word; 'completed' and 'failed' end the agent")
    .requiredOption("--message <text>", "what it is doing, in a sentence")
    .option("--progress <percent>", "0 to 100", whole_number)
    .option("--agent <agent>", "default: SUPERVISOR_AGENT_ID")
    .action(async (options: { status: string; message: string; progress?: number; agent?: string }) => {
      const { status, message, progress } = options;
      const { agent, reporter } = reporter_of(context, options.agent);
      const answer = await (await context.client()).call("progress", {
        params: { agent },
        body: { status, message, progress, reporter },
      });
      if (context.json()) print_json(answer);
      if (answer.note) process.stderr.write(`supervisor: ${one_line(answer.note)}\n`);
    });
}
