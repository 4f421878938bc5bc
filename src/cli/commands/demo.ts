/** `supervisor demo`: a tour on a workspace of its own, which is gone afterwards. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { Client } from "../../client/client.ts";
import { base_environment, containment_setting, runtime_base, verification_setting } from "../../config.ts";
import { SupervisorError } from "../../contract/errors.ts";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { print, print_table, receipt_text } from "../output.ts";
import { stop_signals } from "../stop-signals.ts";
import { go_on_unheard } from "../streams.ts";

const AGENTS = [
  {
    type: "polite",
    command: ["sh", "-c", 'trap "echo last words; exit 0" TERM; cat; while :; do sleep 0.1; done'],
    prompt: "a prompt, read from stdin\n",
    grace_ms: 5000,
  },
  {
    type: "stubborn",
    command: ["sh", "-c", 'trap "" TERM HUP INT; echo "I ignore TERM"; while :; do sleep 0.1; done'],
    prompt: "",
    grace_ms: 500,
  },
  {
    type: "leaver",
    command: ["sh", "-c", 'echo "I leave a helper behind"; setsid sleep 1000 & sleep 1000'],
    prompt: "",
    grace_ms: 5000,
  },
];

export function demo_command(program: Command, context: Context): void {
  program
    .command("demo")
    .description("a tour: three agents of different temper on a temporary workspace, and their ends with proof")
    .action(async () => {
      // Its agents are ended in any case: also when nobody reads on, and at Ctrl-C.
      const unheard = go_on_unheard();
      const interrupted = stop_signals().first;
      const [{ start_daemon }, { default: pino }] = await Promise.all([import("../../daemon/run.ts"), import("pino")]);
      const workspace = await mkdtemp(join(tmpdir(), "supervisor-demo-"));
      const daemon = await start_daemon({
        workspace,
        runtime_base: runtime_base(context.env),
        base_env: base_environment(context.env),
        config_places: [],
        containment: containment_setting(context.env),
        verification: verification_setting(context.env),
        log: pino({ level: "silent" }),
      });
      let over: "over" | null;
      const broken_off = new AbortController();
      void interrupted.then(() => broken_off.abort());
      try {
        over = await Promise.race([
          interrupted,
          tour(new Client(daemon.socket), daemon.workspace, broken_off, context),
        ]);
      } finally {
        await daemon.stop({ agents: true });
        await rm(workspace, { recursive: true });
      }
      if (over === null) {
        process.stderr.write("supervisor: the tour was broken off; its agents were ended, and its workspace is gone\n");
        return context.exit_code(1);
      }
      print("\nThe temporary workspace is gone. Now your own: supervisor start");
      const error = unheard();
      if (error) throw new SupervisorError("internal", `the tour could not be written to stdout (${error.message})`);
    });
}

/** Rejects when it is broken off; then nothing more is printed. */
async function tour(client: Client, workspace: string, { signal }: AbortController, context: Context): Promise<"over"> {
  const env = base_environment(context.env);
  print("1. Three agents are deployed.");
  const agents = await Promise.all(
    AGENTS.map((one) => client.call("deploy", { body: { ...one, cwd: workspace, env } }, { signal })),
  );
  print_table(
    ["AGENT", "STATUS", "PID"],
    agents.map((one) => [one.id, one.status, String(one.process?.pid)]),
  );
  print("\n2. What each prints, as it comes.");
  for (const agent of agents) print(`${agent.id}: ${await first_line(client, agent.id, signal)}`);
  print("\n3. Before: the files, and who holds them (lsof).");
  await show_files(client, workspace, signal);
  print("\n4. All three are killed: TERM, grace, KILL; drained; closed; verified; deleted.");
  const { receipts } = await client.call("kill_many", { body: { all: true, reason: "end of the tour" } }, { signal });
  for (const receipt of receipts) print(receipt_text(receipt));
  print("\n5. After.");
  await show_files(client, workspace, signal);
  return "over";
}

/** The first line of a log, awaited by following it. */
async function first_line(client: Client, agent: string, signal: AbortSignal): Promise<string> {
  let text = "";
  for await (const chunk of await client.stream("logs", { params: { agent }, query: { follow: true } }, { signal })) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return one_line(text.split("\n")[0] ?? "");
}

async function show_files(client: Client, workspace: string, signal: AbortSignal): Promise<void> {
  const { files } = await client.call("verify", { body: {} }, { signal });
  const there = files.filter((file) => file.exists);
  if (there.length === 0) print("no tracked file exists, nothing is held");
  else
    print_table(
      ["VERDICT", "FILE", "HELD BY"],
      there.map((file) => [
        file.verdict,
        file.path.split("/").at(-1) ?? "",
        file.reason ?? file.holders.map((one) => `${one.command} (${one.pid})`).join(", "),
      ]),
    );
  const all = await readdir(workspace, { recursive: true, withFileTypes: true });
  print(
    `${all.filter((one) => one.isFile() && !one.name.includes("REGISTRY") && one.name !== "daemon.json").length} files of agents in the workspace`,
  );
}
