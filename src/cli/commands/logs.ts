/** `supervisor logs`: what an agent printed. */
import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { copy_out } from "../copy-out.ts";
import { whole_number } from "../values.ts";

export function logs_command(program: Command, context: Context): void {
  program
    .command("logs")
    .description("what the agent printed")
    .argument("<agent>")
    .option("-f, --follow", "go on until the agent ends", false)
    .option("-n, --lines <count>", "only the last lines", whole_number)
    .option("--filter <re>", "only lines that match (RE2 syntax)")
    .addOption(
      new Option("--format <format>", "as it is, as JSON lines, or as a person reads it")
        .choices(["text", "jsonl", "parsed"])
        .default("text"),
    )
    .option("--terminal", "the terminal's own stream (agents with --stdout pipe)", false)
    .option("--raw", "pass terminal control codes on, to a terminal too", false)
    .action(
      async (
        id: string,
        options: { follow: boolean; lines?: number; filter?: string; format: string; terminal: boolean; raw: boolean },
      ) => {
        const query = {
          follow: options.follow,
          lines: options.lines,
          filter: options.filter,
          format: context.json() ? "jsonl" : options.format,
          stream: options.terminal ? "terminal" : "log",
        };
        const stream = await (await context.client()).stream("logs", { params: { agent: id }, query });
        await copy_out(stream, process.stdout.isTTY === true && !options.raw);
      },
    );
}
