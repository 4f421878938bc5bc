/**
 * lsof: who holds which file open. Run by the daemon. An lsof that is missing, slow, or that does not find what is known to be
 * open gives no answer at all: "I can't tell" is never "gone".
 */
import { execa } from "execa";
import type { Holder } from "../contract/receipt.ts";

/** lsof looks at every process: 44 ms with 100 of them, 343 ms with 900. Past this it hangs (a dead network mount). In ms. */
const DEADLINE_MS = 15_000;

/** lsof escapes names it cannot print, so that a holder is matched by the inode, never by the name. */
export type RawHolder = Omit<Holder, "whose"> & { inode: number };
export type LsofAnswer = { ok: true; holders: RawHolder[] } | { ok: false; reason: string };

/**
 * Asks for the holders of existing files. `canary` is a file that process `pid` holds open: an answer in which it is missing is
 * no answer (lsof exits 1 both when nothing is open and when it fails, so that its exit code proves nothing).
 */
export async function lsof(
  files: readonly string[],
  canary: { path: string; inode: number; pid: number },
): Promise<LsofAnswer> {
  const result = await execa("lsof", ["-w", "-n", "-P", "-F", "pcLfain", "--", canary.path, ...files], {
    reject: false,
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
    stdin: "ignore",
    cwd: "/",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.code === "ENOENT") return { ok: false, reason: "lsof is not installed" };
  if (result.timedOut) return { ok: false, reason: `lsof did not answer in ${DEADLINE_MS} ms` };
  // An answer that was cut short may lack the very holder that matters, canary or not.
  if (result.signal) return { ok: false, reason: `lsof was ended by ${result.signal}` };
  if (result.isMaxBuffer) return { ok: false, reason: "lsof's answer was too long and was cut" };
  const all = parse_lsof(String(result.stdout ?? ""));
  if (!all.some((one) => one.inode === canary.inode && one.pid === canary.pid)) {
    return {
      ok: false,
      reason: `lsof did not see a file that is open (exit ${result.exitCode ?? "none"}): ${String(result.stderr).split("\n")[0] ?? ""}`,
    };
  }
  return { ok: true, holders: all.filter((one) => one.inode !== canary.inode) };
}

const ACCESS = { r: "read", w: "write", u: "read_write" } as const;

/** Parses `lsof -F pcLfain` (lsof(8), OUTPUT FOR OTHER PROGRAMS): a line a field, process fields before file fields. */
export function parse_lsof(text: string): RawHolder[] {
  const holders: RawHolder[] = [];
  let process = { pid: 0, command: "", user: "" };
  let file: Pick<RawHolder, "fd" | "access" | "inode"> = { fd: "", access: "unknown", inode: 0 };
  for (const line of text.split("\n")) {
    const value = line.slice(1);
    switch (line[0]) {
      case "p":
        process = { pid: Number(value), command: "", user: "" };
        break;
      case "c":
        process.command = value;
        break;
      case "L":
        process.user = value;
        break;
      case "f":
        file = { fd: value, access: "unknown", inode: 0 };
        break;
      case "a":
        file.access = ACCESS[value as keyof typeof ACCESS] ?? "unknown";
        break;
      case "i":
        file.inode = Number(value);
        break;
      case "n":
        holders.push({ ...process, ...file, path: value });
        break;
    }
  }
  return holders;
}

/** The version, or null when lsof is not there. */
export async function lsof_version(): Promise<string | null> {
  const result = await execa("lsof", ["-v"], { reject: false });
  if (result.code === "ENOENT") return null;
  return /revision: (\S+)/.exec(String(result.stderr))?.[1] ?? "unknown";
}
