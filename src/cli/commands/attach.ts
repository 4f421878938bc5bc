/** `supervisor attach`: this terminal becomes the agent's, by the command that the daemon names. */
import type { Command } from "commander";
import { SupervisorError } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";

export function attach_command(program: Command, context: Context): void {
  program
    .command("attach")
    .description("the agent's terminal; C-b d leaves it running")
    .argument("<agent>")
    .action(async (id: string) => {
      const { command } = await (await context.client()).call("attach", { params: { agent: id } });
      if (context.json()) return print_json({ command });
      if (!process.stdin.isTTY)
        throw new SupervisorError(
          "invalid_request",
          `attach needs a terminal; from a script use --json, which prints the command: ${command.join(" ")}`,
        );
      const { run_in_terminal } = await import("../../drivers/terminal.ts");
      context.exit_code(await run_in_terminal(command, context.env));
    });
}
