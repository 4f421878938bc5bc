/** `supervisor set`: changes what an agent may use while it runs. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";
import { log_size } from "../values.ts";

export function set_command(program: Command, context: Context): void {
  program
    .command("set")
    .description("change the limit of an agent's logs; one that waits for room goes on")
    .argument("<agent>")
    .requiredOption("--log-max <size>", "at most so much in one log file, such as 100M, or none", (value) =>
      // Not null: commander takes that for a value that is missing.
      value === "none" ? value : log_size(value),
    )
    .action(async (id: string, options: { logMax: number | "none" }) => {
      const answer = await (await context.client()).call("set_log_limit", {
        params: { agent: id },
        body: { log_max_bytes: options.logMax === "none" ? null : options.logMax },
      });
      if (context.json()) print_json(answer);
    });
}
