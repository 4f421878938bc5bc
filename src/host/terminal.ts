/**
 * The agent's pty. node-pty opens it; everything else is done here, because its `spawn` loses output at an exit (see
 * docs/lossless.md for the measurement): the host keeps the slave open itself, so that the master never sees a hang-up
 * while the kernel still holds bytes.
 */
import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { ReadStream } from "node:tty";
import { is_errno, NO_PTY, trouble } from "../contract/errors.ts";
import { Typing } from "./typing.ts";

/** The part of node-pty that opens a pty and nothing more. Not in its typings; the version is pinned. */
interface NativePty {
  open(cols: number, rows: number): { master: number; slave: number; pty: string };
  resize(fd: number, cols: number, rows: number): void;
}

/** Where node-pty has its compiled part: made when it was installed, or brought along (its lib/utils.js). */
const NATIVE_PLACES = ["build/Release", `prebuilds/${process.platform}-${process.arch}`];

const native = load_native();

/** stty is looked for where every system has it: the host reads no environment, and the agent's PATH is not ours to trust. */
const STTY_PATH = "/usr/bin:/bin:/usr/local/bin";

/** The size of a terminal that nobody looks at. Wide, so that programs which wrap their output seldom do. */
export const DEFAULT_SIZE: [number, number] = [200, 50];

/** Headless: no translation either way, no echo. Keys that make signals still do, and flush nothing (termios(3), NOFLSH). */
const HEADLESS = ["raw", "-echo", "isig", "noflsh"];
/** Interactive: a normal terminal, except that `C-c` must not throw away output that was not read yet. */
const INTERACTIVE = ["noflsh", "iutf8"];

export interface Terminal {
  /** The slave's path, `/dev/pts/N`. */
  path: string;
  /** What the agent prints. */
  output: ReadStream;
  /** The master. node-pty does not mark it close-on-exec, so whoever starts a program must cover it. */
  master_fd: number;
  /** The slave, held open by the host for as long as it lives. */
  slave_fd: number;
  /** Types into the terminal: see Typing. */
  type: Typing["type"];
  /** What became of text that was taken and did not reach the terminal, in words, or null. */
  lost_typing(): string | null;
  resize(cols: number, rows: number): void;
  /** Lifts a stop by flow control (`C-s`), so that what is written can be read. */
  unblock(): Promise<void>;
}

/**
 * The compiled part alone: around it, node-pty has classes and a worker's code that a host never runs, 0.2 MB in each. By its whole path, for which no
 * package.json is read.
 */
function load_native(): NativePty {
  const load = here();
  for (const packages of load.resolve.paths("node-pty") ?? []) {
    for (const place of NATIVE_PLACES) {
      const path = `${packages}/node-pty/${place}/pty.node`;
      if (existsSync(path)) return load(path);
    }
  }
  throw new Error(
    `node-pty has no compiled part: looked for ${NATIVE_PLACES.join(", ")} in it; run 'npm rebuild node-pty'`,
  );
}

/** `require` as it is in the built host, one CommonJS file. As an ES module, in a test, this file has none. */
function here(): NodeJS.Require {
  if (typeof require === "function") return require;
  return process.getBuiltinModule("node:module").createRequire(import.meta.url);
}

/** Opens a pty and sets it up. Rejects with the system's reason when there are no more ptys, or no stty. */
export async function open_terminal(
  mode: "headless" | "interactive",
  [cols, rows]: [number, number],
): Promise<Terminal> {
  const opened = open_pty(cols, rows);
  // node-pty's own slave descriptor is non-blocking and inherited by children; ours is neither.
  const slave_fd = open_slave(opened);
  let output: ReadStream;
  try {
    await stty(slave_fd, mode === "headless" ? HEADLESS : INTERACTIVE);
    output = new ReadStream(opened.master);
  } catch (error) {
    closeSync(slave_fd);
    closeSync(opened.master);
    throw error;
  }
  // EIO comes when the pty is torn down at the very end; until then the slave is ours, and open.
  output.on("error", () => output.destroy());
  const typing = new Typing(opened.master, () => output.destroyed);
  return {
    path: opened.pty,
    output,
    master_fd: opened.master,
    slave_fd,
    type: (data) => typing.type(data),
    lost_typing: () => typing.lost,
    resize(new_cols, new_rows) {
      if (!output.destroyed) native.resize(opened.master, new_cols, new_rows);
    },
    // Without "-drain" stty waits for output that flow control holds back, which is what is to be lifted; an older stty does not know it.
    unblock: () => stty(slave_fd, ["-drain", "-ixon"]).catch(() => stty(slave_fd, ["-ixon"])),
  };
}

/** A new pty. node-pty says only that openpty(3) failed; the kernel is asked again, for its reason. */
function open_pty(cols: number, rows: number) {
  try {
    return native.open(cols, rows);
  } catch (error) {
    throw why_no_pty() ?? error;
  }
}

function why_no_pty(): Error | null {
  const opened: number[] = [];
  try {
    // Master and slave: two descriptors.
    for (const path of ["/dev/ptmx", "/dev/null"]) opened.push(openSync(path, constants.O_RDWR | constants.O_NOCTTY));
    return null;
  } catch (reason) {
    return new Error(is_errno(reason, "ENOSPC") ? NO_PTY : `no terminal (pty) could be opened: ${trouble(reason)}`);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

function open_slave({ master, slave, pty }: ReturnType<NativePty["open"]>): number {
  try {
    return openSync(pty, constants.O_RDWR | constants.O_NOCTTY);
  } catch (error) {
    closeSync(master);
    throw error;
  } finally {
    closeSync(slave);
  }
}

/** Runs stty(1) on a terminal. */
function stty(fd: number, settings: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("stty", settings, { stdio: [fd, "ignore", "ignore"], env: { PATH: STTY_PATH } });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`stty ${settings.join(" ")} failed with exit code ${code}`));
    });
  });
}
