/**
 * Starts the agent's program on its terminal. A shell does the three things that Node cannot: it moves itself into the agent's
 * control groups before anything of the agent runs, so that every descendant is born there; it opens the slave as the
 * leader of a new session, which makes it the controlling terminal (open(2) without O_NOCTTY); and it becomes the program by
 * `exec`, so that pid, exit code and signal are the program's own. The prompt file is its stdin from the beginning.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { kill } from "node:process";
import { promisify } from "node:util";
import type { CgroupRef } from "../contract/containment.ts";
import type { LaunchSpec } from "../contract/host-protocol.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { open_in_place } from "../drivers/in-place.ts";
import { type Birth, mark_birth } from "../drivers/pid-order.ts";
import { process_ref_of } from "../drivers/procfs.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Up to `--`: the control groups' lists of processes; 0 is whoever writes it (cgroups(7)). One that cannot be joined is named on stderr
 * by a line of its own; what the shell itself says of it would look like a failed launch.
 */
const JOIN_FAILED = "supervisor-cannot-join ";
const JOIN_SCRIPT = `while [ "$1" != -- ]; do { echo 0 >"$1"; } 2>/dev/null || echo "${JOIN_FAILED}$1" >&2; shift; done; shift; `;
/** Where a limit was asked for, nothing runs without it. */
const JOIN_OR_FAIL_SCRIPT = `while [ "$1" != -- ]; do { echo 0 >"$1"; } 2>/dev/null || { echo "$1 cannot be written" >&2; exit 126; }; shift; done; shift; `;

/**
 * The shell's last line on the stderr that the host reads: all is in its place, and the next thing it does is `exec`. Only a shell that ends without it
 * has failed. Anything else said there is a warning (bash that knows no such locale, ld.so that cannot preload), and the program runs.
 */
const BEGINS = "supervisor-begins";
const SAY_BEGINS = `printf '\\n%s\\n' ${BEGINS} >&2`;

/** $1 terminal, $2 stdout ("" = the terminal); the rest is the command. Headless, stdin is the prompt file, which the host opens. */
const HEADLESS_SCRIPT = `exec 9<>"$1" && if [ -n "$2" ]; then exec >"$2"; else exec >&9; fi && shift 2 && ${SAY_BEGINS} && exec 2>&9 9>&- && exec "$@"`;
const INTERACTIVE_SCRIPT = `exec 9<>"$1" && exec <&9 && if [ -n "$2" ]; then exec >"$2"; else exec >&9; fi && shift 2 && ${SAY_BEGINS} && exec 2>&9 9>&- && exec "$@"`;

/** POSIX shells pass on only variables whose names they could have set themselves; bash passes on all (both tried). */
const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const BASH = "/bin/bash";

export interface Launched {
  process: ProcessRef;
  birth: Birth | null;
  /** Resolves once, when the agent's own process has ended. */
  exited: Promise<{ code: number | null; signal: string | null; at: string }>;
  /** The control groups that it is in. */
  cgroups: CgroupRef[];
  notes: string[];
}

export interface LaunchOptions {
  /** The named pipe for stdout, or null for the terminal. */
  stdout_path: string | null;
  cgroups: readonly CgroupRef[];
  /** A group that cannot be joined fails the launch. */
  must_join: boolean;
}

/** Starts the program. Rejects when it could not be put on its terminal; then nothing of it is left. */
export async function launch(spec: LaunchSpec, terminal: Terminal, options: LaunchOptions): Promise<Launched> {
  const { shell, notes } = choose_shell(spec.env);
  const join = options.must_join ? JOIN_OR_FAIL_SCRIPT : JOIN_SCRIPT;
  const args = [
    ...shell.slice(1),
    "-c",
    join + (spec.mode === "headless" ? HEADLESS_SCRIPT : INTERACTIVE_SCRIPT),
    "supervisor",
    ...options.cgroups.map((one) => `${one.path}/cgroup.procs`),
    "--",
    terminal.path,
    options.stdout_path ?? "",
    ...spec.command,
  ];
  const null_fd = openSync("/dev/null", constants.O_RDWR);
  let prompt_fd: number | null = null;
  // The master would be inherited at its own number: there, the agent gets /dev/null instead.
  const stdio: ("ignore" | "pipe" | number)[] = new Array(terminal.master_fd + 1).fill("ignore");
  stdio[2] = "pipe";
  stdio[terminal.master_fd] = null_fd;
  let child: ChildProcess;
  try {
    if (spec.mode === "headless") prompt_fd = await open_prompt(spec.prompt_file);
    if (prompt_fd !== null) stdio[0] = prompt_fd;
    child = spawn(shell[0] as string, args, { cwd: spec.cwd, env: spec.env, detached: true, stdio });
  } finally {
    closeSync(null_fd);
    if (prompt_fd !== null) closeSync(prompt_fd);
  }
  const exited = new Promise<Awaited<Launched["exited"]>>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal, at: new Date().toISOString() }));
  });
  let process: ProcessRef | null;
  let birth: Birth | null;
  try {
    // Soon after the fork: what is counted in between counts as younger.
    birth = child.pid === undefined ? null : mark_birth(child.pid);
    // Read at once: even if it has ended, it stays a zombie until the next turn of the event loop.
    process = child.pid === undefined ? null : process_ref_of(child.pid);
  } catch (error) {
    // Without its start time it could not be ended later. Its pid, which is its group's as well, is its own until it is reaped.
    kill(-(child.pid as number), "SIGKILL");
    await exited;
    throw error;
  }
  const said = await said_before_exec(child);
  const words = said.filter((line) => line !== BEGINS && !line.startsWith(JOIN_FAILED));
  if (!said.includes(BEGINS) || !process) {
    // Whoever takes the control groups away next must find them empty.
    if (process) await exited;
    throw new Error(words.join("\n") || "the shell that starts the program could not be run");
  }
  for (const line of words) notes.push(`the shell that started the agent said: ${line.slice(0, 500)}`);
  const joined = options.cgroups.filter((one) => !said.includes(`${JOIN_FAILED}${one.path}/cgroup.procs`));
  for (const one of options.cgroups)
    if (!joined.includes(one)) notes.push(`the agent could not be put into its control group ${one.path}`);
  return { process, birth, exited, cgroups: joined, notes };
}

/** The prompt, if it is in its place. Opened again by descriptor: the flags that made the first open safe are not for an agent's stdin. */
async function open_prompt(path: string): Promise<number> {
  // A profile that hands the prompt over in another way: nothing stands on stdin.
  if (path === "/dev/null") return openSync(path, "r");
  const file = await open_in_place(path, constants.O_RDONLY);
  try {
    return openSync(`/proc/self/fd/${file.fd}`, "r");
  } finally {
    await file.close();
  }
}

/** The lines that were said before the shell's stderr became the agent's terminal: the shell's own, and those of the loader that started it. */
function said_before_exec(child: ChildProcess): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("error", reject);
    child.stderr?.setEncoding("utf8");
    child.stderr?.on("data", (chunk: string) => {
      text += chunk;
    });
    child.stderr?.once("close", () => resolve(text.split("\n").filter((line) => line.trim() !== "")));
  });
}

function choose_shell(env: Record<string, string>): { shell: string[]; notes: string[] } {
  const odd = Object.keys(env).filter((name) => !SHELL_NAME.test(name));
  if (odd.length === 0) return { shell: ["/bin/sh"], notes: [] };
  try {
    accessSync(BASH, constants.X_OK);
    // -p: BASH_ENV is the agent's business, not the launcher's, and functions stay as they were exported.
    return { shell: [BASH, "--norc", "--noprofile", "-p"], notes: [] };
  } catch {
    return { shell: ["/bin/sh"], notes: [`variables that a shell cannot name were not passed on: ${odd.join(", ")}`] };
  }
}

/** A named pipe for stdout, opened for both ends by the host: it never sees an end of file, and can write the marker. */
export async function open_stdout_pipe(path: string): Promise<{ fd: number; unlink: () => Promise<void> }> {
  await promisify(execFile)("mkfifo", ["-m", "600", path]);
  const unlink = () => rm(path, { force: true });
  try {
    return { fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), unlink };
  } catch (error) {
    await unlink();
    throw error;
  }
}
