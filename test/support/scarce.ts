/** Terminals, processes and descriptors of a test's own, few of them. The machine's own are never touched: ptys are those of a private mount of devpts. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { eventually, type TestSupervisor } from "./supervisor.ts";

/** In a mount namespace of its own, whose mounts nobody else sees: $0 ptys, then the rest of the arguments as a command. */
const FEW_PTYS = `mount -t devpts -o newinstance,max="$0",ptmxmode=0666,mode=620 devpts /dev/pts && { [ -L /dev/ptmx ] || mount --bind /dev/pts/ptmx /dev/ptmx; } && exec "$@"`;
const few_ptys_command = (count: number) => [
  "unshare",
  "--mount",
  "--propagation",
  "private",
  "sh",
  "-c",
  FEW_PTYS,
  String(count),
];

/** Why no private devpts can be had here, or null. */
export const NO_DEVPTS = ((): string | null => {
  if (process.getuid?.() !== 0) return "only root may mount";
  const [program, ...args] = few_ptys_command(1) as [string, ...string[]];
  const tried = spawnSync(program, [...args, "true"]);
  if (tried.error) return "unshare is not installed";
  return tried.status === 0 ? null : "a devpts of one's own is not allowed here";
})();

/** The daemon, its tmux server and its agents have so many ptys. Before it is booted. */
export function with_few_ptys(supervisor: TestSupervisor, count: number): void {
  supervisor.launcher = few_ptys_command(count);
}

/** The mounts of devpts that this process sees. */
export const devpts_mounts = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(" - devpts "));

/** Where control groups of version 1 that count processes are, or version 2's, if we may make one. */
const PIDS_ROOT = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].find((dir) => existsSync(`${dir}/cgroup.procs`));

/** Why the number of processes cannot be limited here, or null. (`prlimit --nproc` does not bind root: setrlimit(2).) */
export const NO_PIDS_LIMIT = ((): string | null => {
  if (process.getuid?.() !== 0) return "only root may make a control group here";
  if (!PIDS_ROOT) return "there is no control group that counts processes";
  const dir = `${PIDS_ROOT}/sv-probe-${process.pid}`;
  try {
    mkdirSync(dir);
  } catch (error) {
    return `a control group cannot be made (${(error as NodeJS.ErrnoException).code})`;
  }
  const counts = existsSync(`${dir}/pids.max`);
  rmdirSync(dir);
  return counts ? null : "control groups do not count processes here";
})();

export interface ProcessLimit {
  /** Puts a process with all its threads into the group; its children are born there. */
  take(pid: number): void;
  /** How many processes and threads there are. */
  count(): number;
  /** No more than this many; null for as many as there may be. */
  limit(count: number | null): void;
}

/** A control group of the test's own that limits the number of processes. It goes when everybody in it has gone. */
export function process_limit(supervisor: TestSupervisor, name: string): ProcessLimit {
  const dir = `${PIDS_ROOT}/sv-${name}-${process.pid}-${Math.random().toString(16).slice(2, 8)}`;
  mkdirSync(dir);
  supervisor.at_end.push(async () => {
    await eventually("the control group to be empty", () => readFileSync(`${dir}/cgroup.procs`, "utf8") === "");
    rmdirSync(dir);
  });
  return {
    take: (pid) => writeFileSync(`${dir}/cgroup.procs`, String(pid)),
    count: () => Number(readFileSync(`${dir}/pids.current`, "utf8")),
    limit: (count) => writeFileSync(`${dir}/pids.max`, count === null ? "max" : String(count)),
  };
}

/** The soft limit on descriptors that leaves a process so many free ones. */
export function limit_for(pid: number, free: number): number {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let soft = 0;
  for (let left = free; left > 0 || open.has(soft); soft++) if (!open.has(soft)) left--;
  return soft;
}

/** Sets a process's limit on descriptors; `hard` as well where its children are not to raise it again (Node does at its start). */
export function limit_descriptors(pid: number, soft: number, hard: number | "" = ""): void {
  const ran = spawnSync("prlimit", ["--pid", String(pid), `--nofile=${soft}:${hard}`]);
  if (ran.status !== 0) throw new Error(`prlimit: ${ran.stderr}`);
}

/** Why system calls of one process cannot be made to fail here, or null. */
export const NO_STRACE = ((): string | null => {
  const tried = spawnSync("strace", ["-e", "trace=none", "true"]);
  if (tried.error) return "strace is not installed";
  return tried.status === 0 ? null : "a process may not be traced here";
})();

/**
 * Makes every call of this kind fail for one process and the children that it starts meanwhile, by strace: what is used up of the whole machine (`ENFILE`, `ENOMEM`) must not be used up
 * for a test. Resolves when it is so, with how to end it.
 */
export async function failing_calls(pid: number, calls: string, error: string): Promise<() => Promise<void>> {
  const args = [
    "-f",
    "-p",
    String(pid),
    "-o",
    "/dev/null",
    "-e",
    `trace=${calls}`,
    "-e",
    `inject=${calls}:error=${error}`,
  ];
  const tracer = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  tracer.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const gone = new Promise<void>((resolve) => tracer.once("exit", () => resolve()));
  const end = async () => {
    tracer.kill("SIGINT");
    await gone;
  };
  await eventually("strace to be attached", () => /attached/.test(said)).catch(async (error) => {
    await end();
    throw error;
  });
  return end;
}
