/** `supervisor stop`: stops the supervisor; its agents go on unless told otherwise. */
import type { Command } from "commander";
import { SupervisorError } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

const goes_on = (agents: number) =>
  agents === 0 ? "no agents are running" : agents === 1 ? "1 agent goes on" : `${agents} agents go on`;

/** Who leaves with no agent running leaves no address behind: there may be some where there is one, and nobody serves there. */
function with_agents_left(error: unknown, option: string): unknown {
  if (!(error instanceof SupervisorError) || error.code !== "no_daemon") return error;
  return new SupervisorError(
    "no_daemon",
    `${error.message}; it takes up the agents that the last one left, if any go on, and 'supervisor stop --agents${option}' ends them then`,
  );
}

/** Nobody serves, and nobody left an address: whoever served last left no agent running, or nobody ever served. */
function with_nothing_left(error: unknown, workspace: string): unknown {
  if (!(error instanceof SupervisorError) || error.code !== "no_daemon") return error;
  return new SupervisorError(
    "no_daemon",
    `no supervisor is running for ${workspace}, and none left its address there: there is nothing to stop`,
  );
}

export function stop_command(program: Command, context: Context): void {
  program
    .command("stop")
    .description("stop the supervisor and wait until it has gone; its agents go on unless --agents")
    .option("--agents", "end all agents first")
    .action(async (options: { agents?: boolean }) => {
      const client = await context.client().catch((error) => {
        throw with_nothing_left(error, context.workspace());
      });
      const { daemon_on, departure } = await import("../departure.ts");
      const daemon = await daemon_on(client.socket, context.workspace());
      const answer = await client.call("stop", { body: { agents: options.agents } }).catch((error) => {
        throw options.agents ? with_agents_left(error, context.workspace_option()) : error;
      });
      if (daemon) await departure(daemon, (text) => process.stderr.write(`supervisor: ${text}\n`));
      if (context.json()) return print_json(answer);
      // One that cannot be looked at was told, and no more is known.
      print(
        `the supervisor ${daemon ? "has stopped" : "stops"}; ${goes_on(answer.agents_running)}${options.agents ? ` (${answer.receipts.length} ended)` : ""}`,
      );
    });
}
