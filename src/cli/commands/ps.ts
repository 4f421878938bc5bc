/** `supervisor ps`: agents. */
import type { Command } from "commander";
import pretty_ms from "pretty-ms";
import { is_adverse } from "../../contract/adverse.ts";
import type { AgentView } from "../../contract/agent-view.ts";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { cell, print, print_json, print_table } from "../output.ts";

export function ps_command(program: Command, context: Context): void {
  program
    .command("ps")
    .description("running agents")
    .option("-a, --all", "also those that ended")
    .option("--task <task>", "only those of one task")
    .action(async (options: { all?: boolean; task?: string }) => {
      const agents = await (await context.client()).call("list_agents", {
        query: { all: options.all, task: options.task },
      });
      if (context.json()) return print_json(agents);
      if (agents.length === 0) return print(`no agents${options.all ? "" : " are running"}`);
      print_table(["AGENT", "STATUS", "AGE", "PROGRESS", "COMMAND"], agents.map(ps_row));
      for (const agent of agents) if (agent.stalled) print(`${cell(agent.id, 80)} waits: ${one_line(agent.stalled)}`);
    });
}

function ps_row(agent: AgentView): string[] {
  const ms = (agent.ended_at ? Date.parse(agent.ended_at) : Date.now()) - Date.parse(agent.started_at);
  // An entry of another program may have no start, or what is no date.
  const age = Number.isFinite(ms) ? pretty_ms(Math.max(0, ms), { compact: true }) : "";
  const status = [
    agent.queue_position === null ? agent.status : `queued, place ${agent.queue_position}`,
    ...(agent.stalled ? ["stalled"] : []),
    ...(is_adverse(agent.host_state) ? [`host ${agent.host_state}`] : []),
  ];
  return [
    cell(agent.id, 80),
    cell(status.join(", "), 40),
    age,
    `${agent.progress} %`,
    cell(agent.command.join(" ") || agent.prompt, 60),
  ];
}
