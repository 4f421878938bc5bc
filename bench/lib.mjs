// What the benchmarks share: a supervisor of their own, the seed's protocol beside it, waiting for files, medians.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, statSync, watch } from "node:fs";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SUPERVISOR = fileURLToPath(new URL("../dist/supervisor.js", import.meta.url));
/** Every wait fails by then and says what for: the longest, a slow tee's 200 MB or a stop with agents, takes seconds. In ms. */
const DEADLINE_MS = 60_000;
/** Runs a program to its end. */
export const run_file = (program, args) => promisify(execFile)(program, args, { timeout: DEADLINE_MS });
const PROMPT = "a short prompt, read from stdin\n";
/** An agent that prints a line at once and then idles until TERM or HUP ends it. */
export const READY_AGENT = `echo '{"type":"ready"}'; exec sleep 1000`;

/** What is to be undone, the newest last. Filled before the thing itself is made, so that half a start is undone as well. */
const undo = [];
let closed = false;

/**
 * Ends and removes all that was started here; with `for_good` nothing more can be started. One failure does not keep the
 * others from being undone.
 */
export async function clean_up({ for_good = false } = {}) {
  closed ||= for_good;
  const failures = [];
  for (let back = undo.pop(); back; back = undo.pop()) await back().catch((error) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, `not all was removed: ${failures.join("; ")}`);
}

/** Made at once, so that no clean-up can come between the directory and its undoing. */
function temporary_directory(prefix) {
  if (closed) throw new Error("the benchmark was interrupted");
  const root = mkdtempSync(join(tmpdir(), prefix));
  undo.push(() => rm(root, { recursive: true, force: true }));
  return root;
}

/** A supervisor on a temporary workspace, with one task. Its sockets lie in the same directory. */
export async function start_supervisor() {
  const root = temporary_directory("sv-bench-");
  const env = { PATH: process.env.PATH, HOME: root, LANG: "C.UTF-8", XDG_RUNTIME_DIR: root };
  // So that the two ways of containment can be compared.
  const { SUPERVISOR_CONTAINMENT } = process.env;
  if (SUPERVISOR_CONTAINMENT) env.SUPERVISOR_CONTAINMENT = SUPERVISOR_CONTAINMENT;
  const workspace = join(root, "ws");
  let child = null;
  let ended = null;
  let call = null;
  let tmux_socket = null;
  let pid = null;
  const start = async () => {
    // Detached: Ctrl-C must reach the benchmark alone, which then stops the supervisor with its agents.
    child = spawn(process.execPath, [SUPERVISOR, "start", "--json", "--log-level", "error", "--workspace", workspace], {
      env,
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
    });
    ended = new Promise((resolve) => child.once("exit", resolve));
    const ready = Promise.race([
      new Promise((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
      ended.then((code) => Promise.reject(new Error(`the supervisor ended with ${code} before it was ready`))),
    ]);
    const line = JSON.parse(await in_time(ready, () => "the supervisor's ready line"));
    pid = line.pid;
    call = (method, path, body) => call_socket(line.socket, method, path, body);
  };
  undo.push(async () => {
    try {
      if (call && child.exitCode === null && child.signalCode === null)
        await call("POST", "/v1/stop", { agents: true });
      else child?.kill("SIGTERM");
      await ended;
    } catch (error) {
      // Our own processes, so that they may go without a word: the daemon by its handle, the hosts with their terminals.
      child.kill("SIGKILL");
      if (tmux_socket) await run_file("tmux", ["-S", tmux_socket, "kill-server"]).catch(() => undefined);
      throw error;
    }
  });
  await start();
  tmux_socket = (await call("GET", "/healthz")).tmux_socket;
  const { task_id } = await call("POST", "/v1/tasks", { description: "benchmark" });
  return {
    root,
    pid,
    tmux_socket,
    logs: join(workspace, task_id, "logs"),
    deploy: (script) =>
      call("POST", "/v1/agents", { task_id, command: ["sh", "-c", script], prompt: PROMPT, cwd: root, env }),
    /** Kills the supervisor; its agents live on. Resolves when it is gone. */
    async crash() {
      child.kill("SIGKILL");
      await ended;
    },
    /** Starts it again. Resolves with its ready line. */
    restart: start,
    agents: () => call("GET", "/v1/agents"),
    /** One report of each kind, after which all five tracked files exist. */
    async report(id) {
      await call("POST", `/v1/agents/${id}/progress`, { status: "working", message: "half" });
      await call("POST", `/v1/agents/${id}/findings`, { finding_type: "note", severity: "low", message: "one" });
    },
    /** The receipt; one that proves less than a whole end is an error, whatever was measured. */
    async kill(id) {
      const receipt = await call("POST", `/v1/agents/${id}/kill`, { cleanup: "delete" });
      const { handles, survivors, files_failed, files_deferred } = receipt.cleanup;
      const left = survivors.length + files_failed.length + files_deferred.length;
      if (!receipt.success || handles !== "clear" || left > 0)
        throw new Error(`the end of ${id} left something: ${JSON.stringify(receipt)}`);
      return receipt;
    },
  };
}

function call_socket(socketPath, method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body ? { "content-type": "application/json" } : {};
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const outgoing = request({ socketPath, method, path, headers, signal }, async (answer) => {
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

/** The set-up that people have today, on a private tmux server: `cat prompt | agent | tee log`. */
export async function start_seed() {
  const root = temporary_directory("sv-seed-");
  const config = join(root, "tmux.conf");
  const tmux = (...args) => run_file("tmux", ["-S", join(root, "t.sock"), "-f", config, ...args]);
  undo.push(() => tmux("kill-server"));
  // Ours stays up between agents; a seed whose server booted in every round would be measured too slow.
  await writeFile(config, "set -s exit-empty off\n");
  await tmux("start-server");
  const logs = join(root, "logs");
  await mkdir(logs);
  return {
    logs,
    /** The agent's five files. Three of them are made here, as the seed's deploy does; the log by tee. */
    async deploy(name, script) {
      const files = ["prompt", "log", "progress", "findings", "deploy"].map((kind) => join(logs, `${name}_${kind}`));
      const [prompt, log] = files;
      await writeFile(prompt, PROMPT);
      await tmux("new-session", "-d", "-s", name, `cat ${quote(prompt)} | sh -c ${quote(script)} | tee ${quote(log)}`);
      for (const file of files.slice(2)) await writeFile(file, "{}\n");
      return { log, files };
    },
    /** kill-session, half a second, five deletes: the whole of the seed's protocol. */
    async kill(name, files) {
      await tmux("kill-session", "-t", `=${name}`);
      await delay(500);
      for (const file of files) await rm(file);
    },
  };
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Resolves when the file has at least so many bytes. Woken by the kernel alone: no timer, no look without a change. */
export async function grown_to(path, bytes) {
  await next_file(dirname(path), (name) => join(dirname(path), name) === path, bytes).found;
}

/**
 * Watches a directory, from the return of this call, for a file that `wanted` accepts to have so many bytes. `found` is
 * its path; `stop` gives up, for a wait that something else has ended.
 */
export function next_file(directory, wanted, bytes = 1) {
  const watcher = watch(directory);
  const found = new Promise((resolve, reject) => {
    const looking = new Map();
    const look = async (name) => {
      if (looking.has(name)) {
        looking.set(name, "again");
        return;
      }
      // A change during the stat may be newer than its answer, so it is asked again.
      do {
        looking.set(name, "now");
        const facts = await stat(join(directory, name)).catch((error) => {
          if (error.code !== "ENOENT") throw error;
          return null;
        });
        if (facts && facts.size >= bytes) resolve(join(directory, name));
      } while (looking.get(name) === "again");
      looking.delete(name);
    };
    const look_if_wanted = (name) => name && wanted(name) && look(name).catch(reject);
    watcher.on("change", (_kind, name) => look_if_wanted(name));
    watcher.on("error", reject);
    watcher.on("close", () => reject(new Error(`nobody waits for a file in ${directory} any more`)));
    // What was there before the watch began has no event.
    for (const name of readdirSync(directory)) look_if_wanted(name);
  });
  const in_directory = () => readdirSync(directory).map((name) => `${name} (${statSync(join(directory, name)).size})`);
  const waited_for = () => `${bytes} bytes in ${directory}, where there is: ${in_directory().join(", ") || "nothing"}`;
  return { found: in_time(found, waited_for).finally(() => watcher.close()), stop: () => watcher.close() };
}

/** The promise, or an error that says what was waited for. */
export async function in_time(promise, waited_for) {
  const timer = new AbortController();
  const late = delay(DEADLINE_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${DEADLINE_MS} ms for ${waited_for()}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}

export async function timed(work) {
  const began = performance.now();
  const result = await work();
  return { ms: performance.now() - began, result };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A row of a table: what was measured, in words for people and in full for programs. */
export function row(name, samples, digits = 1) {
  const [low, high] = [Math.min(...samples), Math.max(...samples)].map((value) => value.toFixed(digits));
  return { name, figure: `${median(samples).toFixed(digits)} [${low}–${high}]`, median: median(samples), samples };
}

/** The machine and the versions a result belongs to. */
export async function machine() {
  const tmux = (await run_file("tmux", ["-V"])).stdout.trim();
  // lsof tells its version on stderr.
  const lsof = /revision: (\S+)/.exec((await run_file("lsof", ["-v"])).stderr)?.[1] ?? "unknown";
  const model = /model name\s*: (.*)/.exec(await readFile("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown model";
  return `${cpus().length} cores (${model}), Node ${process.version}, ${tmux}, lsof ${lsof}`;
}
