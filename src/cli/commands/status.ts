/** `supervisor status`: one agent, with its receipt once it ended. */
import type { Command } from "commander";
import type { AgentRecord } from "../../contract/agent.ts";
import type { Context } from "../context.ts";
import { print, print_json, printable, receipt_text } from "../output.ts";

export function status_command(program: Command, context: Context): void {
  program
    .command("status")
    .description("one agent's record, with its receipt once it ended")
    .argument("<agent>")
    .action(async (id: string) => {
      const agent = await (await context.client()).call("get_agent", { params: { agent: id } });
      if (context.json()) return print_json(agent);
      print(status_text(agent));
    });
}

function status_text(agent: AgentRecord): string {
  const lines = [
    `${printable(agent.id)}  ${printable(agent.status)}`,
    `  command    ${printable(agent.command.join(" "))}`,
    `  directory  ${printable(agent.cwd)}`,
    `  process    ${agent.process?.pid ?? "none"}, host ${agent.host?.pid ?? "none"}, session ${agent.tmux_session ?? "none"}`,
    ...(agent.pane === "lost"
      ? ["  pane       lost with its tmux server; the agent runs on, and gets another as soon as tmux takes it"]
      : []),
    `  started    ${agent.started_at}${agent.ended_at ? `, ended ${agent.ended_at}` : ""}`,
    ...(agent.stalled ? [`  stalled    ${printable(agent.stalled)}`] : []),
    ...(agent.ending && !agent.receipt
      ? [`  ending     step ${agent.ending.step}: ${printable(agent.ending.reason)}`]
      : []),
    `  progress   ${agent.progress} % ${printable(agent.message)}`,
    ...Object.entries(agent.tracked_files).map(([role, path]) => `  ${role.padEnd(14)} ${printable(path)}`),
  ];
  return lines.join("\n") + (agent.receipt ? `\nreceipt\n${receipt_text(agent.receipt)}` : "");
}
