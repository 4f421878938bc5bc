/** `supervisor status`: one agent, with its receipt once it ended. */
import type { Command } from "commander";
import pretty_bytes from "pretty-bytes";
import pretty_ms from "pretty-ms";
import { is_adverse } from "../../contract/adverse.ts";
import type { AgentRecord } from "../../contract/agent.ts";
import type { Usage } from "../../contract/containment.ts";
import type { Answer } from "../../contract/operations.ts";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { print, print_json, receipt_text } from "../output.ts";

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

function status_text(agent: Answer<"get_agent">): string {
  const lines = [
    `${one_line(agent.id)}  ${one_line(agent.status)}`,
    `  command    ${one_line(agent.command.join(" "))}`,
    `  directory  ${one_line(agent.cwd)}`,
    `  process    ${agent.process?.pid ?? "none"}, host ${agent.host?.pid ?? "none"}, session ${one_line(agent.tmux_session ?? "none")}`,
    ...(is_adverse(agent.host_state) ? [`  HOST       ${agent.host_state}: ${one_line(agent.host_state_reason)}`] : []),
    ...(agent.pane === "lost"
      ? ["  pane       lost with its tmux server; the agent runs on, and gets another as soon as tmux takes it"]
      : []),
    ...(agent.pane === "unknown" && agent.host?.protocol === 1 && !agent.ended_at
      ? [
          "  pane       not known: an older supervisor started its host (protocol 1), which gets no other when its tmux server dies",
        ]
      : []),
    ...(agent.queue_position === null
      ? []
      : [
          `  QUEUED     place ${agent.queue_position}, priority ${agent.queue?.priority}: ${one_line(agent.queue_reason)}`,
        ]),
    `  ${agent.status === "queued" ? "waits since" : "started   "} ${one_line(agent.started_at)}${agent.ended_at ? `, ended ${one_line(agent.ended_at)}` : ""}`,
    ...(agent.stalled ? [`  stalled    ${one_line(agent.stalled)}`] : []),
    ...(agent.ending && !agent.receipt
      ? [`  ending     step ${agent.ending.step}: ${one_line(agent.ending.reason)}`]
      : []),
    `  contained  ${containment_text(agent)}${limits_text(agent)}`,
    ...(agent.usage ? [`  uses       ${usage_text(agent.usage)}`] : []),
    `  progress   ${agent.progress} % ${one_line(agent.message)}`.trimEnd(),
    ...Object.entries(agent.tracked_files).map(([role, path]) => `  ${one_line(role).padEnd(14)} ${one_line(path)}`),
  ];
  return lines.join("\n") + (agent.receipt ? `\nreceipt\n${receipt_text(agent.receipt)}` : "");
}

/** How its processes are kept together; of an agent that waits in the queue nobody knows that yet. */
function containment_text({ status, containment }: AgentRecord): string {
  if (status === "queued") return "from its start on";
  return containment === "cgroup" ? "by control group" : "by cookie, session, group and tree";
}

function limits_text({ limits }: AgentRecord): string {
  const set = [
    limits.memory_max === null ? [] : [`memory ${pretty_bytes(limits.memory_max, { binary: true })}`],
    limits.pids_max === null ? [] : [`${limits.pids_max} processes and threads`],
    limits.cpu_max === null ? [] : [`${limits.cpu_max} cores`],
  ].flat();
  return set.length > 0 ? `; at most ${set.join(", ")}` : "";
}

function usage_text(usage: Usage): string {
  const peak =
    usage.memory_peak_bytes === null ? "" : ` (peak ${pretty_bytes(usage.memory_peak_bytes, { binary: true })})`;
  const oom = usage.oom_kills > 0 ? `, ${usage.oom_kills} killed for want of memory` : "";
  return `cpu ${pretty_ms(usage.cpu_usec / 1000)}, memory ${pretty_bytes(usage.memory_bytes, { binary: true })}${peak}, ${usage.processes} ${usage.processes === 1 ? "process" : "processes"}${oom}`;
}
