// What the benchmarks share: a supervisor of their own, the seed's protocol beside it, medians, and a table.
import { execFile, spawn } from "node:child_process";
import { watch } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run_file = promisify(execFile);
const SUPERVISOR = fileURLToPath(new URL("../dist/supervisor.js", import.meta.url));

/** A supervisor on a temporary workspace. */
export async function start_supervisor() {
  const root = await mkdtemp(join(tmpdir(), "sv-bench-"));
  const env = { PATH: process.env.PATH, HOME: root, LANG: "C.UTF-8", XDG_RUNTIME_DIR: root };
  const child = spawn(
    process.execPath,
    [SUPERVISOR, "start", "--json", "--log-level", "error", "--workspace", join(root, "ws")],
    {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const [line] = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once("line", (text) => resolve([text]))),
    ended.then((code) => Promise.reject(new Error(`the supervisor ended with ${code} before it was ready`))),
  ]);
  const { socket, pid } = JSON.parse(line);
  const call = (method, path, body) => call_socket(socket, method, path, body);
  return {
    root,
    pid,
    deploy: (command) => call("POST", "/v1/agents", { command, cwd: root, env }),
    kill: (id, cleanup = "delete") => call("POST", `/v1/agents/${id}/kill`, { cleanup }),
    wait: (id) => call("GET", `/v1/agents/${id}/wait`),
    async stop() {
      await call("POST", "/v1/stop", { agents: true });
      await ended;
      await rm(root, { recursive: true });
    },
  };
}

function call_socket(socketPath, method, path, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath, method, path, headers: body ? { "content-type": "application/json" } : {} },
      async (answer) => {
        let text = "";
        for await (const chunk of answer) text += chunk;
        if (answer.statusCode < 400) resolve(JSON.parse(text));
        else reject(new Error(text));
      },
    );
    outgoing.once("error", reject);
    outgoing.end(body && JSON.stringify(body));
  });
}

/** The set-up that people have today: a tmux session with tee, on a private server of the benchmark's own. */
export async function start_seed() {
  const root = await mkdtemp(join(tmpdir(), "sv-seed-"));
  const tmux = (...args) => run_file("tmux", ["-S", join(root, "t.sock"), "-f", "/dev/null", ...args]);
  return {
    root,
    async deploy(name, command) {
      const log = join(root, `${name}.jsonl`);
      await tmux("new-session", "-d", "-s", name, `${command} | tee '${log}'`);
      return log;
    },
    /** kill-session, half a second, five deletes: the whole of the seed's protocol. */
    async kill(name, files) {
      await tmux("kill-session", "-t", name);
      await delay(500);
      for (const file of files) await rm(file, { force: true });
    },
    async stop() {
      await tmux("kill-server").catch(() => undefined /* it left with its last session */);
      await rm(root, { recursive: true });
    },
  };
}

/** Resolves when the file has at least so many bytes. Woken by the kernel, not by a timer. */
export async function grown_to(path, bytes) {
  const directory = path.slice(0, path.lastIndexOf("/"));
  const enough = async () => ((await stat(path).catch(() => null))?.size ?? 0) >= bytes;
  if (await enough()) return;
  const watcher = watch(directory);
  try {
    await new Promise((resolve, reject) => {
      let looking = false;
      const look = async () => {
        if (looking) return;
        looking = true;
        if (await enough()) resolve();
        looking = false;
      };
      watcher.on("change", look);
      watcher.on("error", reject);
      void look();
      // A change between two looks is seen by the next one; the last one of all by this.
      const again = setInterval(look, 20);
      watcher.on("close", () => clearInterval(again));
    });
  } finally {
    watcher.close();
  }
}

export async function timed(work) {
  const began = performance.now();
  const result = await work();
  return { ms: performance.now() - began, result };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export const spread = (values, digits = 1) =>
  `${median(values).toFixed(digits)} [${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}]`;

/** The machine and the versions a result belongs to. */
export async function machine() {
  const tmux = (await run_file("tmux", ["-V"])).stdout.trim();
  const model = (await readFile("/proc/cpuinfo", "utf8")).match(/model name\s*: (.*)/)?.[1] ?? "unknown cpu";
  return `${cpus().length} cores (${model}), Node ${process.version}, ${tmux}`;
}
