// Our own: a supervisor on a temporary workspace, spoken to over its socket.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PROMPT } from "../lib/agents.mjs";
import { heap_bytes } from "../lib/heap-objects.mjs";
import { in_lanes } from "../lib/lanes.mjs";
import { processes_of } from "../lib/proc.mjs";
import { DEADLINE_MS, in_time, on_clean_up, run_file, temporary_directory } from "../lib/undo.mjs";

export const SUPERVISOR = fileURLToPath(new URL("../../dist/supervisor.js", import.meta.url));
const PROBE = fileURLToPath(new URL("../lib/heap-probe.cjs", import.meta.url));

/** With one task. Its sockets lie in the same directory. With a `probe` it can be told to collect its garbage. `retention`: as in its config file. */
export async function start_supervisor({ probe = false, retention = {} } = {}) {
  const root = temporary_directory("sv-bench-");
  const env = { PATH: process.env.PATH, HOME: root, LANG: "C.UTF-8", XDG_RUNTIME_DIR: root };
  // So that the two ways of containment, and of verification, can be compared.
  for (const name of ["SUPERVISOR_CONTAINMENT", "SUPERVISOR_VERIFICATION"])
    if (process.env[name]) env[name] = process.env[name];
  const workspace = join(root, "ws");
  // The limits are for fleets that may spiral; these are as many as the benchmark asks for.
  const limits = { max_agents: 10_000, max_concurrent: 10_000 };
  await writeFile(join(root, "supervisor.config.json"), JSON.stringify({ limits, retention }));
  let child = null;
  let ended = null;
  let call = null;
  let tmux_socket = null;
  let socket = null;
  const start = async () => {
    // Detached: Ctrl-C must reach the benchmark alone, which then stops the supervisor with its agents.
    const args = [SUPERVISOR, "start", "--json", "--log-level", "error", "--workspace", workspace];
    child = spawn(process.execPath, [...(probe ? ["--expose-gc", "--require", PROBE] : []), ...args], {
      env,
      detached: true,
      stdio: ["ignore", "pipe", "inherit", ...(probe ? ["ipc"] : [])],
    });
    ended = new Promise((resolve) => child.once("exit", resolve));
    const ready = Promise.race([
      new Promise((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
      ended.then((code) => Promise.reject(new Error(`the supervisor ended with ${code} before it was ready`))),
    ]);
    const line = JSON.parse(await in_time(ready, () => "the supervisor's ready line"));
    socket = line.socket;
    call = (method, path, body) => call_socket(socket, method, path, body);
  };
  const alive = () => child.exitCode === null && child.signalCode === null;
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    try {
      if (call && alive()) {
        await end_many(call);
        await call("POST", "/v1/stop", { agents: true });
      } else child?.kill("SIGTERM");
      await in_time(ended, () => "the supervisor to end");
    } catch (error) {
      // Our own processes, so that they may go without a word: the daemon by its handle, the hosts with their terminals.
      child.kill("SIGKILL");
      if (tmux_socket) await run_file("tmux", ["-S", tmux_socket, "kill-server"]).catch(() => undefined);
      throw error;
    }
  };
  on_clean_up(stop);
  await start();
  tmux_socket = (await call("GET", "/healthz")).tmux_socket;
  const { task_id } = await call("POST", "/v1/tasks", { description: "benchmark", ...limits });
  const task = join(workspace, task_id);
  const system = {
    name: "supervisor",
    root,
    env,
    workspace,
    task,
    tmux_socket,
    logs: join(task, "logs"),
    log_suffix: "_stream.jsonl",
    pid: () => child.pid,
    socket: () => socket,
    call: (...args) => call(...args),
    async deploy(_name, script, more = {}) {
      const command = ["sh", "-c", script];
      const record = await call("POST", "/v1/agents", { task_id, command, prompt: PROMPT, cwd: root, env, ...more });
      // Nobody would wait for the output of one that waits.
      if (record.status === "queued") throw new Error(`${record.id} waits for room: ${record.queue_reason}`);
      return { id: record.id, log: record.tracked_files.log_file, record };
    },
    /** The receipt; one that proves less than a whole end is an error, whatever was measured. */
    async kill({ id }, body = {}) {
      const receipt = await call("POST", `/v1/agents/${id}/kill`, { cleanup: "delete", ...body });
      prove(receipt, id);
      return receipt;
    },
    /** The receipt of an agent that ends by itself; its output is kept with `more.cleanup` at its deploy. */
    async ended({ id }) {
      const receipt = await call("GET", `/v1/agents/${id}/wait?timeout_ms=${DEADLINE_MS}`);
      prove(receipt, id);
      return receipt;
    },
    attach: async ({ id }) => (await call("GET", `/v1/agents/${id}/attach`)).command,
    /** One report of each kind, after which all five tracked files exist. */
    async report({ id }) {
      await call("POST", `/v1/agents/${id}/progress`, { status: "working", message: "half" });
      await call("POST", `/v1/agents/${id}/findings`, { finding_type: "note", severity: "low", message: "one" });
    },
    /** Resolves when its spare host waits, so that its boot is no part of what is measured next. Answers whose it is: pid, session, socket. */
    async spare() {
      let spare = null;
      const deadline = performance.now() + DEADLINE_MS;
      while (spare === null) {
        if (performance.now() > deadline) throw new Error(`waited ${DEADLINE_MS} ms for the supervisor's spare host`);
        await delay(LOOK_MS);
        spare = await waiting_spare(root);
      }
      return spare;
    },
    /** Collects the supervisor's garbage. Answers its memory then, in bytes: `{live, heap_total, rss}`. */
    collect: () => ask_probe(child, {}),
    /** The same, and what lives by a snapshot of its heap: `{objects, code}`. */
    async collect_and_count() {
      const path = join(root, "supervisor.heapsnapshot");
      const memory = await ask_probe(child, { snapshot: path });
      const bytes = await heap_bytes(path);
      await rm(path);
      return { ...memory, ...bytes };
    },
    /** Kills the supervisor; its agents live on. Resolves when it is gone. */
    async crash() {
      child.kill("SIGKILL");
      await ended;
    },
    /** Starts it again. Resolves with its ready line. */
    restart: start,
    stop,
  };
  return system;
}

function ask_probe(child, question) {
  const answer = new Promise((resolve) => child.once("message", resolve));
  child.send(question);
  return in_time(answer, () => "the supervisor to collect its garbage");
}

/** Kills at once before a stop. */
const LANES = 8;
/** A stop ends so many by itself, all at once, and waits less than a minute for them. */
const FEW = 40;

/** Ends a fleet that is too large to be ended in the time that a stop takes at most. Who fails is left to the stop. */
async function end_many(call) {
  const agents = (await call("GET", "/v1/agents")).filter((one) => one.receipt === null);
  if (agents.length <= FEW) return;
  await in_lanes(agents.length, LANES, (at) =>
    call("POST", `/v1/agents/${agents[at].id}/kill`, { cleanup: "delete" }).catch((error) =>
      console.error(`bench: ${error.message}`),
    ),
  );
}

/** How often is looked for a spare host, in ms: only between two measurements. */
const LOOK_MS = 5;

/** By its arguments, which begin with its first name and socket; a spare that has an agent has left that name, and one that is not connected yet still has a file for its stderr. */
async function waiting_spare(root) {
  for (const { pid, args } of await processes_of(root)) {
    const at = args.findIndex((one) => one.startsWith("spare-"));
    const [session, socket] = args.slice(at);
    if (at < 0 || !socket?.endsWith(".sock") || !existsSync(socket)) continue;
    if (!existsSync(socket.replace(/\.sock$/, ".err"))) return { pid, session, socket };
  }
  return null;
}

function prove(receipt, id) {
  const { handles, survivors, files_failed, files_deferred } = receipt.cleanup;
  const left = survivors.length + files_failed.length + files_deferred.length;
  if (!receipt.success || handles !== "clear" || left > 0)
    throw new Error(`the end of ${id} left something: ${JSON.stringify(receipt)}`);
}

const keep = new Agent({ keepAlive: true, maxSockets: 64 });

/** Bare HTTP, which any client could do. Answers above 399 are errors. */
function call_socket(socketPath, method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body ? { "content-type": "application/json" } : {};
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const outgoing = request({ agent: keep, socketPath, method, path, headers, signal }, async (answer) => {
      try {
        let text = "";
        for await (const chunk of answer) text += chunk;
        if (answer.statusCode < 400) resolve(JSON.parse(text));
        else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
      } catch (error) {
        reject(error);
      }
    });
    outgoing.once("error", reject);
    outgoing.end(body && JSON.stringify(body));
  });
}
