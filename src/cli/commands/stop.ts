/** `supervisor stop`: stops the supervisor; its agents go on unless told otherwise. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

const goes_on = (agents: number) =>
  agents === 0 ? "no agents are running" : agents === 1 ? "1 agent goes on" : `${agents} agents go on`;

export function stop_command(program: Command, context: Context): void {
  program
    .command("stop")
    .description("stop the supervisor and wait until it has gone; its agents go on unless --agents")
    .option("--agents", "end all agents first")
    .action(async (options: { agents?: boolean }) => {
      const client = await context.client();
      const { daemon_on, departure } = await import("../departure.ts");
      const daemon = await daemon_on(client.socket, context.workspace());
      const answer = await client.call("stop", { body: { agents: options.agents } });
      if (daemon) await departure(daemon, (text) => process.stderr.write(`supervisor: ${text}\n`));
      if (context.json()) return print_json(answer);
      // One that cannot be looked at was told, and no more is known.
      print(
        `the supervisor ${daemon ? "has stopped" : "stops"}; ${goes_on(answer.agents_running)}${options.agents ? ` (${answer.receipts.length} ended)` : ""}`,
      );
    });
}
