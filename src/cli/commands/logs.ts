/** `supervisor logs` and `supervisor events`: streams from the daemon. */
import { pipeline } from "node:stream/promises";
import { StringDecoder } from "node:string_decoder";
import { type Command, Option } from "commander";
import { is_errno, message_of, SupervisorError } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { printable } from "../output.ts";
import { whole_number } from "../values.ts";

export function stream_commands(program: Command, context: Context): void {
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
  program
    .command("events")
    .description("what happened, one JSON object a line")
    .option("-f, --follow", "go on", false)
    .action(async (options: { follow: boolean }) => {
      const stream = await (await context.client()).stream("events", { query: { follow: options.follow } });
      await copy_out(stream, process.stdout.isTTY === true);
    });
}

/** Copies to stdout; for a person's terminal without control codes. A reader that leaves (`| head`) is no error. */
async function copy_out(stream: AsyncIterable<Buffer>, for_a_person: boolean): Promise<void> {
  const decoder = new StringDecoder("utf8");
  const shown = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) yield for_a_person ? printable(decoder.write(chunk)) : chunk;
  };
  try {
    await pipeline(stream, shown, process.stdout, { end: false });
  } catch (error) {
    if (is_errno(error, "EPIPE")) return;
    throw new SupervisorError("daemon_gone", `the supervisor went away while it answered (${message_of(error)})`);
  }
}
