/** `supervisor stop`: stops the supervisor; its agents go on unless told otherwise. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

const goes_on = (agents: number) =>
  agents === 0 ? "no agents are running" : agents === 1 ? "1 agent goes on" : `${agents} agents go on`;

export function stop_command(program: Command, context: Context): void {
  program
    .command("stop")
    .description("stop the supervisor; its agents go on unless --agents")
    .option("--agents", "end all agents first", false)
    .action(async (options: { agents: boolean }) => {
      const answer = await (await context.client()).call("stop", { body: { agents: options.agents } });
      if (context.json()) return print_json(answer);
      print(
        `the supervisor stops; ${goes_on(answer.agents_running)}${options.agents ? ` (${answer.receipts.length} ended)` : ""}`,
      );
    });
}
