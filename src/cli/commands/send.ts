/** `supervisor send`: types into an agent's terminal. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";

export function send_command(program: Command, context: Context): void {
  program
    .command("send")
    .description("type a line into the agent's terminal")
    .argument("<agent>")
    .argument("<text>")
    .option("--no-enter", "without Enter at the end")
    .action(async (id: string, text: string, options: { enter: boolean }) => {
      const answer = await (await context.client()).call("send", {
        params: { agent: id },
        body: { text, enter: options.enter },
      });
      if (context.json()) print_json(answer);
    });
}
