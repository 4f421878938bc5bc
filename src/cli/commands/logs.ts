/** `supervisor logs`: what an agent printed. */
import { type Command, Option } from "commander";
import { CHOICES } from "../../client/table.ts";
import { SupervisorError } from "../../contract/errors.ts";
import type { OutputAnswer, OutputSummary } from "../../contract/operations/output.ts";
import { printable, printable_json } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { copy_out } from "../copy-out.ts";
import { cell, print_json } from "../output.ts";
import { size, whole_number } from "../values.ts";

interface Options {
  follow?: boolean;
  lines?: number;
  filter?: string;
  format?: string;
  responseFormat?: string;
  maxBytes?: number;
  terminal?: boolean;
  raw?: boolean;
}

export function logs_command(program: Command, context: Context): void {
  program
    .command("logs")
    .description("what the agent printed")
    .argument("<agent>")
    .option("-f, --follow", "go on until the agent ends")
    .option("-n, --lines <count>", "only the last lines", whole_number)
    .option("--filter <re>", "only lines that match (RE2 syntax)")
    .addOption(
      new Option("--format <format>", "as it is, as JSON lines, or as a person reads it (default: text)").choices(
        CHOICES.log_format,
      ),
    )
    .addOption(
      new Option(
        "--response-format <how>",
        "one document: all that fits, the last lines, shortened, or a summary",
      ).choices(CHOICES.response_format),
    )
    .option("--max-bytes <size>", "one document of the newest lines, with no more than this, such as 64K", size)
    .option("--terminal", "the terminal's own stream (agents with --stdout pipe)")
    .option("--raw", "pass terminal control codes on, to a terminal too")
    .action(async (id: string, options: Options) => {
      const for_a_person = process.stdout.isTTY === true && !options.raw;
      const clean = options.format === "jsonl" || context.json() ? printable_json : printable;
      const params = { agent: id };
      const common = { filter: options.filter, stream: options.terminal ? "terminal" : "log" };
      const client = await context.client();
      if (options.responseFormat === undefined && options.maxBytes === undefined) {
        // JSON lines are what --json promises, whatever a line looks like to a person.
        const format = context.json() ? "jsonl" : (options.format ?? "text");
        const query = { ...common, follow: options.follow, lines: options.lines, format };
        return copy_out(client, await client.stream("logs", { params, query }), for_a_person ? clean : null);
      }
      if (options.follow)
        throw new SupervisorError(
          "invalid_request",
          "--follow has no end to measure; leave out --response-format and --max-bytes",
        );
      const answer = await client.call("get_output", {
        params,
        query: {
          ...common,
          tail: options.lines,
          format: options.format,
          response_format: options.responseFormat,
          max_bytes: options.maxBytes,
        },
      });
      if (context.json()) return print_json(answer);
      const text = answer.summary
        ? summary_text(answer, answer.summary)
        : answer.lines.map((line) => `${line}\n`).join("");
      process.stdout.write(for_a_person ? clean(text) : text);
      if (answer.truncated) process.stderr.write("supervisor: earlier output was left out; --max-bytes gives more\n");
    });
}

function summary_text({ agent_id, status, metadata }: OutputAnswer, summary: OutputSummary): string {
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ") || "none";
  return [
    `${agent_id}  ${status}`,
    `  log        ${metadata.total_bytes} bytes, ${summary.lines} ${summary.lines === 1 ? "line" : "lines"}${summary.complete ? "" : " at its end, which is what was looked at"}`,
    `  session    ${summary.session ?? "none"}`,
    `  events     ${list(summary.counts)}`,
    `  tools      ${list(summary.tools)}`,
    `  said       ${cell(summary.last_assistant ?? "nothing", 200)}`,
    `  result     ${cell(summary.last_result ?? "none", 200)}`,
    ...summary.errors.map((error) => `  error      ${cell(error, 200)}`),
    "",
  ].join("\n");
}
