/** `supervisor kill`: ends agents, with receipts. */
import { type Command, Option } from "commander";
import type { Client } from "../../client/client.ts";
import { CHOICES } from "../../client/table.ts";
import { type ErrorCode, SupervisorError } from "../../contract/errors.ts";
import type { Answer } from "../../contract/operations.ts";
import { one_line } from "../../contract/printable.ts";
import type { Receipt } from "../../contract/receipt.ts";
import type { Context } from "../context.ts";
import { print, print_json, receipt_text } from "../output.ts";
import { whole_number } from "../values.ts";

export function kill_command(program: Command, context: Context): void {
  program
    .command("kill")
    .description("end agents: processes, streams, handles, files; answers with the receipt")
    .argument("[agents...]")
    .option("--task <task>", "all agents of a task")
    .option("--all", "all agents")
    .option("--tree", "also all agents that they deployed, and those that these deployed")
    .option("--reason <text>", "why; stands in the receipt", "killed on request")
    .option("--grace <ms>", "how long they may take after TERM", whole_number)
    .addOption(
      new Option("--cleanup <policy>", "what becomes of their files").choices(CHOICES.cleanup_policy).default("delete"),
    )
    .action(async (ids: string[], options: Options, command: Command) =>
      kill(context, ids, options, command.getOptionValueSource("cleanup") === "cli"),
    );
}

interface Options {
  task?: string;
  all?: boolean;
  tree?: boolean;
  reason: string;
  grace?: number;
  cleanup: "delete" | "archive" | "keep";
}

/** On stderr: the receipt is what was asked for. */
function tell_of_children(id: string, left: string[], option: string): void {
  const who = `${left.slice(0, 3).join(", ")}${left.length > 3 ? " and others" : ""}`;
  process.stderr.write(
    `${one_line(`${left.length === 1 ? `1 agent that ${id} deployed goes on` : `${left.length} agents that ${id} deployed go on`} (${who}); 'supervisor kill --tree ${id}${option}' ends ${left.length === 1 ? "it" : "them"}`)}\n`,
  );
}

async function kill(
  context: Context,
  ids: string[],
  { task, all, tree, reason, grace, cleanup }: Options,
  wished: boolean,
): Promise<void> {
  const ways = [ids.length > 0, task !== undefined, all].filter(Boolean).length;
  if (ways !== 1)
    throw new SupervisorError(
      "invalid_request",
      `${ways === 0 ? "say which agents: ids, or --task ID, or --all" : "give one of: ids, --task ID, --all"}`,
    );
  const client = await context.client();
  const options = { reason, grace_ms: grace, cleanup };
  let receipts: (Receipt | Answer<"kill">)[];
  // Those for whom this kill came too late, and changed nothing.
  const had_ended = new Set<string>();
  const errors: Failed[] = [];
  if (ids.length > 0) {
    // Every id is looked up before the first agent is touched: afterwards a prefix might fit another one.
    const agents = await each(ids, errors, (id) => client.call("get_agent", { params: { agent: id } }));
    for (const agent of agents) if (agent.receipt) had_ended.add(agent.id);
    const by_id = new Map(agents.map((agent) => [agent.id, agent]));
    receipts = await each([...by_id.keys()], errors, (id) =>
      told_while_waiting(client, id, client.call("kill", { params: { agent: id }, body: { ...options, tree } })),
    );
    const [only] = errors;
    if (only && ids.length === 1) throw only.cause;
  } else {
    receipts = (await client.call("kill_many", { body: { ...options, task_id: task, all } })).receipts;
  }
  const too_late = `it had ended before, and this is the receipt of that end; nothing was done now${wished ? `, and --cleanup ${cleanup} did not apply` : ""}`;
  const text_of = (one: Receipt) =>
    receipt_text(one) + (had_ended.has(one.agent_id) ? `\n  note       ${too_late}` : "");
  const everybody = receipts.flatMap((one) => [one, ...(("descendants" in one && one.descendants) || [])]);
  const success = everybody.every((one) => one.success) && errors.length === 0;
  const told = errors.map(({ agent, cause }) => ({ agent, error: cause.message, code: cause.code }));
  if (context.json())
    print_json(ids.length === 1 ? receipts[0] : { success, receipts, ...(ids.length > 0 ? { errors: told } : {}) });
  else if (everybody.length > 0) print(everybody.map(text_of).join("\n"));
  else if (errors.length === 0) print("no agents were running");
  for (const { error } of told) process.stderr.write(`${one_line(`supervisor: ${error}`)}\n`);
  for (const one of receipts)
    if ("children_left" in one && one.children_left)
      tell_of_children(one.agent_id, one.children_left, context.workspace_option());
  context.exit_code(errors[0]?.cause.exit_code ?? (success ? 0 : 1));
}

/** One of several that were named, and why it could not be ended. */
interface Failed {
  agent: string;
  cause: SupervisorError;
}

/**
 * Does it for each, all at once; what fails for one of them goes to `errors`, and the others go on, as with `kill`, `docker kill` and `systemctl stop`:
 * an id that nobody knows any more must not keep the rest alive. A supervisor that is not there fails for all.
 */
async function each<T>(ids: string[], errors: Failed[], work: (id: string) => Promise<T>): Promise<T[]> {
  const settled = await Promise.allSettled(ids.map(work));
  return settled.flatMap((one, index) => {
    if (one.status === "fulfilled") return [one.value];
    const cause: unknown = one.reason;
    if (!(cause instanceof SupervisorError) || OF_ALL.includes(cause.code)) throw cause;
    errors.push({ agent: ids[index] as string, cause });
    return [];
  });
}

const OF_ALL: ErrorCode[] = ["no_daemon", "daemon_gone", "daemon_info_unreadable", "daemon_stopping"];

/** An end takes tens of milliseconds, or its grace; after this long a person wonders what it waits for. In ms. */
const WONDER_MS = 2_000;

/** Says on stderr what an end that takes long waits for, and again when that changes. */
async function told_while_waiting<T>(client: Client, id: string, answer: Promise<T>): Promise<T> {
  let told = "";
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    const agent = await client
      .call("get_agent", { params: { agent: id } })
      .catch(() => null /* the kill's own answer says why */);
    looking = false;
    if (!agent?.ending || agent.receipt) return;
    const why = agent.stalled ? `its output cannot be written: ${agent.stalled}` : `step ${agent.ending.step}`;
    if (why !== told) process.stderr.write(`${one_line(`${agent.id} is still ending; ${why}`)}\n`);
    told = why;
  };
  const timer = setInterval(() => void look(), WONDER_MS);
  try {
    return await answer;
  } finally {
    clearInterval(timer);
  }
}
