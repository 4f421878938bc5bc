/**
 * A supervisor of a test's own: real daemon process, real tmux, real lsof, on a temporary workspace with a runtime directory of its
 * own. `dispose` stops it and asserts that nothing of the test is left: no process, session, socket or file handle. A test that fails or times
 * out before it disposes leaves nothing either: what is marked as its own is ended when it is over.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, TestRunner } from "vitest";
import { Client } from "../../src/client/client.ts";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { CallRequest } from "../../src/contract/operations.ts";
import { cgroup_directory } from "../../src/contract/paths.ts";
import { read_hierarchies } from "../../src/drivers/cgroup-hierarchies.ts";

const run_file = promisify(execFile);
export const SUPERVISOR = fileURLToPath(new URL("../../dist/supervisor.js", import.meta.url));
const AGENTS = fileURLToPath(new URL("../fixtures/agents/", import.meta.url));
/** Longer than anything here takes on a busy machine; a wait that reaches it says what it waited for. In ms. */
const DEADLINE_MS = 40_000;
/** Less than the 30 s after which a host that was never launched leaves by itself: one that was left behind must not go unseen. In ms. */
const GONE_DEADLINE_MS = 20_000;

/** The path of a fake agent. */
export const fixture = (name: string) => join(AGENTS, name);

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Waits until `look` gives something truthy. `what` is said when it never does. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  deadline_ms = DEADLINE_MS,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + deadline_ms;
  for (;;) {
    const value = await look();
    if (value) return value as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`waited ${deadline_ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

export interface SpareProcess {
  pid: number;
  /** Its id, and the name of its session. */
  id: string;
  socket: string;
}

export class TestSupervisor {
  /**
   * Set at the top of a test file: `default` has the spare hosts that a supervisor has by itself. Elsewhere there are none: to boot one for each
   * of hundreds of supervisors would make the whole suite slower, and whoever counts processes would count it.
   */
  static spare_hosts: "none" | "default" = "none";
  private daemon: ChildProcess | null = null;
  /** The test is over: a body that timed out and goes on must start nothing more. */
  private over = false;
  client!: Client;
  socket = "";
  daemon_stderr = "";
  /** What starts the daemon, with its command line as its last arguments, and becomes it by `exec`. */
  launcher: string[] = [];
  /** What must be undone after the daemon has gone and before the test's directory is removed (a mount). */
  readonly at_end: (() => Promise<void>)[] = [];

  private constructor(
    readonly root: string,
    readonly workspace: string,
    readonly env: Record<string, string>,
  ) {}

  /** A workspace with no daemon yet, in a directory of its own below `base`. */
  static async prepare(base = tmpdir()): Promise<TestSupervisor> {
    const root = await realpath(await mkdtemp(join(base, "sv-")));
    const env = { PATH: process.env.PATH ?? "", HOME: root, LANG: "C.UTF-8", XDG_RUNTIME_DIR: root, TEST_MARK: root };
    const supervisor = new TestSupervisor(root, join(root, "ws"), env);
    // The user's own config, over which a test's config beside its workspace goes, key by key.
    if (TestSupervisor.spare_hosts === "none") {
      mkdirSync(join(root, ".config/supervisor"), { recursive: true });
      writeFileSync(join(root, ".config/supervisor/config.json"), JSON.stringify({ spare_hosts: 0 }), { mode: 0o600 });
    }
    // In beforeAll there is no test yet: there only dispose cleans up.
    if (TestRunner.getCurrentTest()) onTestFinished(() => supervisor.clean_up());
    return supervisor;
  }

  static async start(env: Record<string, string> = {}): Promise<TestSupervisor> {
    const supervisor = await TestSupervisor.prepare();
    Object.assign(supervisor.env, env);
    await supervisor.boot();
    return supervisor;
  }

  /** Starts the daemon and waits for its ready line. */
  async boot(args: string[] = [], program = SUPERVISOR): Promise<{ pid: number }> {
    if (this.over) throw new Error("the test is over: nothing is started any more");
    const start = [process.execPath, program, "start", "--json", "--workspace", this.workspace, ...args];
    const [first, ...rest] = [...this.launcher, ...start] as [string, ...string[]];
    const child = spawn(first, rest, {
      env: this.env,
      cwd: this.root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.daemon = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.daemon_stderr += text;
    });
    const ready = await new Promise<{ event: string; pid: number; socket: string }>((resolve, reject) => {
      const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
      lines.once("line", (line) => resolve(JSON.parse(line)));
      child.once("exit", (code) =>
        reject(new Error(`the daemon ended with ${code} before it was ready: ${this.daemon_stderr}`)),
      );
    });
    expect(ready.event).toBe("ready");
    this.socket = ready.socket;
    this.client = new Client(ready.socket);
    return ready;
  }

  /** Signals the daemon and waits for its end. */
  async signal_daemon(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.daemon as ChildProcess;
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    child.kill(signal);
    this.daemon = null;
    return ended;
  }

  /** The daemon ended by a test's own doing. */
  forget_daemon(): void {
    this.daemon = null;
  }

  /** True when the daemon has ended, whatever ended it. */
  get daemon_exited(): boolean {
    return this.daemon !== null && (this.daemon.exitCode !== null || this.daemon.signalCode !== null);
  }

  /** The agents as the registries on disk have them. */
  registry_on_disk(): AgentRecord[] {
    return readdirSync(this.workspace)
      .filter((name) => name.startsWith("TASK-") && existsSync(join(this.workspace, name, "AGENT_REGISTRY.json")))
      .flatMap((name) => JSON.parse(readFileSync(join(this.workspace, name, "AGENT_REGISTRY.json"), "utf8")).agents);
  }

  /** Runs the command as a person would. */
  async cli(
    args: string[],
    options: { env?: Record<string, string>; input?: string; cwd?: string } = {},
  ): Promise<Ran> {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [SUPERVISOR, ...args], {
        env: { ...this.env, SUPERVISOR_WORKSPACE: this.workspace, ...options.env },
        cwd: options.cwd ?? this.root,
      });
      let stdout = "";
      let stderr = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        stdout += text;
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
      });
      // It may have left without reading what it was given.
      child.stdin.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EPIPE") throw error;
      });
      child.stdin.end(options.input ?? "");
      child.once("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    });
  }

  /** Runs a line of shell in the directory above the workspace, with `supervisor` on the PATH. */
  async shell(script: string): Promise<Ran> {
    return run_file("bash", ["-c", script], {
      cwd: this.root,
      env: { ...this.env, SUPERVISOR_WORKSPACE: this.workspace },
    }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
    );
  }

  async deploy(
    request: Partial<NonNullable<CallRequest<"deploy">["body"]>> & { command: string[] },
  ): Promise<AgentRecord> {
    return this.client.call("deploy", {
      body: {
        cwd: this.root,
        env: { PATH: this.env.PATH as string, TEST_MARK: this.root },
        grace_ms: 10_000,
        ...request,
      },
    });
  }

  async log_text(agent: AgentRecord): Promise<string> {
    try {
      return readFileSync(agent.tracked_files.log_file as string, "latin1");
    } catch (error) {
      // Not made yet, or set aside by now.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return "";
    }
  }

  /** Waits until the daemon's log has this: what it writes comes by another way than its answers, and may be later. */
  async says(text: string): Promise<void> {
    await eventually(`the daemon's log to say '${text}'`, () => this.daemon_stderr.includes(text));
  }

  /** Waits until the agent has printed this. */
  async printed(agent: AgentRecord, text: string): Promise<void> {
    await eventually(`${agent.id} to print ${JSON.stringify(text)}`, async () =>
      (await this.log_text(agent)).includes(text),
    );
  }

  /** Spare hosts that wait for an agent: one that was taken has left its socket's first name. */
  spares(): SpareProcess[] {
    return processes_marked(this.root)
      .map((line) => /^(\d+) \S*node\S* .*agent-host\.cjs (spare-\S+) (\S+\.sock) \S+ spare /.exec(line))
      .filter((match) => match !== null)
      .map(([, pid, id, socket]) => ({ pid: Number(pid), id: id as string, socket: socket as string }))
      .filter(({ socket }) => existsSync(socket));
  }

  /** Waits for a spare host that its supervisor has connected to: what it might have said on stderr is not kept any more. */
  async spare(): Promise<SpareProcess> {
    return eventually("a spare host", () =>
      this.spares().find(({ socket }) => !existsSync(socket.replace(/\.sock$/, ".err"))),
    );
  }

  /** The sessions of the private tmux server. */
  async sessions(): Promise<string[]> {
    const { tmux_socket } = await this.client.call("health");
    const { stdout } = await this.shell(`tmux -S ${tmux_socket} list-sessions -F '#{session_name}'`);
    return stdout.split("\n").filter(Boolean);
  }

  /** The directories of this workspace's control groups, in every hierarchy, whether they exist or not. */
  cgroup_directories(): string[] {
    const name = cgroup_directory(process.getuid?.() ?? 0, this.workspace);
    return read_hierarchies().map((one) => `${one.own}/${name}`);
  }

  /** Ends everything, and asserts that nothing of this test is left. */
  async dispose(): Promise<void> {
    if (this.over) return;
    if (this.daemon) {
      await this.client.call("stop", { body: { agents: true } });
      const { daemon } = this;
      if (!this.daemon_exited) await once(daemon, "exit");
      expect([daemon.exitCode, daemon.signalCode], `how the daemon ended: ${this.daemon_stderr}`).toEqual([0, null]);
    }
    for (const undo of this.at_end.splice(0).reverse()) await undo();
    await eventually(
      "every process of the test to be gone",
      () => processes_marked(this.root).length === 0,
      GONE_DEADLINE_MS,
    ).catch(() => {
      throw new Error(`processes are left: ${processes_marked(this.root).join("; ")}`);
    });
    const sockets = readdirSync(this.root, { recursive: true, encoding: "utf8" }).filter((name) =>
      /\.(sock|out|err|conf)$|canary/.test(name),
    );
    expect(sockets, "sockets and runtime files are left").toEqual([]);
    // Node's own words for listeners that pile up.
    expect(this.daemon_stderr, "the daemon leaks").not.toContain("MaxListenersExceededWarning");
    expect(this.cgroup_directories().filter(existsSync), "control groups are left").toEqual([]);
    await rm(this.root, { recursive: true });
    this.over = true;
  }

  /** After a test that did not get as far as `dispose`, or whose `dispose` failed: ends what carries the test's mark, and removes its directory. */
  async clean_up(): Promise<void> {
    if (this.over) return;
    this.over = true;
    await eventually("what a failed test left to be ended", () => {
      const left = processes_marked(this.root).map((one) => Number.parseInt(one, 10));
      for (const pid of left) kill_if_there(pid);
      return left.length === 0;
    });
    for (const undo of this.at_end.splice(0).reverse()) await undo();
    for (const dir of this.cgroup_directories().filter(existsSync)) {
      for (const name of readdirSync(dir, { withFileTypes: true }))
        if (name.isDirectory()) rmdirSync(join(dir, name.name));
      rmdirSync(dir);
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** By SIGKILL, a process that may have ended meanwhile. */
export function kill_if_there(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Processes that belong to a test: its mark is in their environment, or its directory in their command line. Found by /proc, ended by nobody here. */
export function processes_marked(mark: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      const environ = readFileSync(`/proc/${pid}/environ`, "latin1");
      const cmdline = readFileSync(`/proc/${pid}/cmdline`, "latin1");
      if (environ.includes(mark) || cmdline.includes(mark)) found.push(`${pid} ${cmdline.replaceAll("\0", " ")}`);
    } catch (error) {
      if (!["ENOENT", "ESRCH", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  return found;
}
