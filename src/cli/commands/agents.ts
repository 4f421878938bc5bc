/** Commands on agents: ps, status, send, wait, kill, verify. */
import { type Command, Option } from "commander";
import pretty_ms from "pretty-ms";
import type { AgentRecord } from "../../contract/agent.ts";
import { SupervisorError } from "../../contract/errors.ts";
import type { Receipt } from "../../contract/receipt.ts";
import type { Context } from "../context.ts";
import { cell, print, print_json, printable, receipt_text, table } from "../output.ts";
import { agent_exit_code, whole_number } from "../values.ts";

export function agent_commands(program: Command, context: Context): void {
  program
    .command("ps")
    .description("running agents")
    .option("-a, --all", "also those that ended", false)
    .option("--task <id>", "only those of one task")
    .action(async (options: { all: boolean; task?: string }) => {
      const agents = await (await context.client()).call("list_agents", {
        query: { all: options.all, task: options.task },
      });
      if (context.json()) return print_json(agents);
      print(
        agents.length === 0
          ? `no agents${options.all ? "" : " are running"}`
          : table(["AGENT", "STATUS", "AGE", "PROGRESS", "COMMAND"], agents.map(ps_row)),
      );
    });
  program
    .command("status")
    .description("one agent's record, with its receipt once it ended")
    .argument("<agent>")
    .action(async (id: string) => {
      const agent = await (await context.client()).call("get_agent", { params: { agent: id } });
      if (context.json()) return print_json(agent);
      print(status_text(agent));
    });
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
  program
    .command("kill")
    .description("end agents: processes, streams, handles, files; answers with the receipt")
    .argument("[agents...]")
    .option("--task <id>", "all agents of a task")
    .option("--all", "all agents", false)
    .option("--reason <text>", "why; stands in the receipt", "killed on request")
    .option("--grace <ms>", "how long they may take after TERM", whole_number)
    .addOption(
      new Option("--cleanup <policy>", "what becomes of their files")
        .choices(["delete", "archive", "keep"])
        .default("delete"),
    )
    .action(
      async (
        ids: string[],
        options: { task?: string; all: boolean; reason: string; grace?: number; cleanup: "delete" },
      ) => kill(context, ids, options),
    );
  program
    .command("verify")
    .description("who holds the tracked files, by lsof; exit 1 if an ended agent's file is held")
    .argument("[agent]")
    .action(async (id?: string) => {
      const answer = await (await context.client()).call("verify", { body: { agent: id } });
      if (context.json()) print_json(answer);
      else {
        const rows = answer.files
          .filter((file) => file.exists)
          .map((file) => [
            file.verdict,
            file.role,
            file.path,
            file.reason ??
              file.holders
                .map((one) => `${printable(one.command)} (pid ${one.pid}, fd ${one.fd}, ${one.access}, ${one.whose})`)
                .join(", "),
          ]);
        print(rows.length === 0 ? "no tracked file exists" : table(["VERDICT", "FILE", "PATH", "HOLDERS"], rows));
      }
      context.exit_code(answer.success ? 0 : 1);
    });
}

async function kill(
  context: Context,
  ids: string[],
  {
    task,
    all,
    reason,
    grace,
    cleanup,
  }: { task?: string; all: boolean; reason: string; grace?: number; cleanup: "delete" },
): Promise<void> {
  const ways = [ids.length > 0, task !== undefined, all].filter(Boolean).length;
  if (ways !== 1) throw new SupervisorError("invalid_request", "say which agents: ids, or --task ID, or --all");
  const client = await context.client();
  const options = { reason, grace_ms: grace, cleanup };
  let receipts: Receipt[];
  if (ids.length > 0) {
    // Every id is looked up before the first agent is touched.
    const agents = await Promise.all(ids.map((id) => client.call("get_agent", { params: { agent: id } })));
    receipts = await Promise.all(
      agents.map((agent) => client.call("kill", { params: { agent: agent.id }, body: options })),
    );
  } else {
    receipts = (await client.call("kill_many", { body: { ...options, task_id: task, all } })).receipts;
  }
  const success = receipts.every((one) => one.success);
  if (context.json()) print_json(ids.length === 1 ? receipts[0] : { success, receipts });
  else print(receipts.length === 0 ? "no agents were running" : receipts.map(receipt_text).join("\n"));
  context.exit_code(success ? 0 : 1);
}

function ps_row(agent: AgentRecord): string[] {
  const until = agent.ended_at ? Date.parse(agent.ended_at) : Date.now();
  const age = agent.started_at ? pretty_ms(Math.max(0, until - Date.parse(agent.started_at)), { compact: true }) : "";
  return [
    cell(agent.id, 80),
    cell(agent.status, 12),
    age,
    `${agent.progress} %`,
    cell(agent.command.join(" ") || agent.prompt, 60),
  ];
}

function status_text(agent: AgentRecord): string {
  const lines = [
    `${printable(agent.id)}  ${printable(agent.status)}`,
    `  command    ${printable(agent.command.join(" "))}`,
    `  directory  ${printable(agent.cwd)}`,
    `  process    ${agent.process?.pid ?? "none"}, host ${agent.host?.pid ?? "none"}, session ${agent.tmux_session ?? "none"}`,
    `  started    ${agent.started_at}${agent.ended_at ? `, ended ${agent.ended_at}` : ""}`,
    `  progress   ${agent.progress} % ${printable(agent.message)}`,
    ...Object.entries(agent.tracked_files).map(([role, path]) => `  ${role.padEnd(14)} ${printable(path)}`),
  ];
  return lines.join("\n") + (agent.receipt ? `\nreceipt\n${receipt_text(agent.receipt)}` : "");
}
