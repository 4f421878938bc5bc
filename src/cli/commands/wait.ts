/** `supervisor wait`: exits with the agent's exit code. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";
import { agent_exit_code, whole_number } from "../values.ts";

export function wait_command(program: Command, context: Context): void {
  program
    .command("wait")
    .description("wait for the agent's end; exits with its exit code")
    .argument("<agent>")
    .option("--timeout <ms>", "give up after this long", whole_number)
    .action(async (id: string, options: { timeout?: number }) => {
      const receipt = await (await context.client()).call("wait", {
        params: { agent: id },
        query: { timeout_ms: options.timeout },
      });
      if (context.json()) print_json(receipt);
      context.exit_code(agent_exit_code(receipt));
    });
}
