/**
 * A call may take long because there is much to do (a grace, a full disk), or because the daemon does nothing at all: stopped with SIGSTOP, or wedged. The
 * difference is asked of `/healthz`, on a connection of its own. Silence is said once, and ends a call after a while; a daemon that works is
 * waited for as long as it takes.
 */
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { is_errno, SupervisorError } from "../contract/errors.ts";

/** A daemon answers `/healthz` within milliseconds; seconds on a machine that is out of memory or cores. In ms. */
const LOOK_MS = 5_000;
/** Silence after which a call is given up, so that a script does not hang for ever. Several looks long. In ms. */
const GIVE_UP_MS = 60_000;

export interface Patience {
  /** Called once, when the daemon is found silent. */
  on_silence(text: string): void;
  /** The daemon's process, where it is known: whether it is stopped can be said then. */
  pid: number | null;
}

/** Calls `give_up` when the daemon has been silent for long (never with `endless`), and says so before. Returns how to stop watching. */
export function watch_silence(
  socket: string,
  patience: Patience,
  endless: boolean,
  give_up: (error: SupervisorError) => void,
): () => void {
  let silent_since: number | null = null;
  let said = false;
  let watching = true;
  let timer: NodeJS.Timeout;
  const look = async () => {
    const began = performance.now();
    const answers = await is_answered(socket);
    if (!watching) return;
    if (answers) silent_since = null;
    else silent_since ??= began - LOOK_MS;
    const silence = silent_since === null ? 0 : performance.now() - silent_since;
    if (silence > 0 && !said) {
      said = true;
      patience.on_silence(`${describe(socket, patience.pid)} Waiting on; Ctrl-C gives up.`);
    }
    if (silence < GIVE_UP_MS || endless) again();
    else
      give_up(
        new SupervisorError(
          "timeout",
          `no answer for ${Math.round(silence / 1000)} s: ${describe(socket, patience.pid)} What was asked for may still be done when it goes on.`,
        ),
      );
  };
  const again = () => {
    timer = setTimeout(() => void look(), LOOK_MS);
    timer.unref();
  };
  again();
  return () => {
    watching = false;
    clearTimeout(timer);
  };
}

/**
 * False when there is no answer in time, and when so many wait for one that no more can (EAGAIN). A refused or broken connection is an answer: somebody, or
 * nobody, is there, and the call itself will tell.
 */
function is_answered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ socketPath: socket, path: "/healthz", timeout: LOOK_MS }, (response) => {
      response.resume();
      resolve(true);
    });
    request.once("timeout", () => {
      resolve(false);
      request.destroy();
    });
    request.once("error", (error) => resolve(!is_errno(error, "EAGAIN")));
  });
}

function describe(socket: string, pid: number | null): string {
  if (pid === null) return `the supervisor on ${socket} does not answer.`;
  if (is_stopped(pid)) return `the supervisor (pid ${pid}) is stopped; continue it with 'kill -CONT ${pid}'.`;
  return `the supervisor (pid ${pid}) does not answer.`;
}

/** True when the process is stopped (proc_pid_status(5), `State: T`). */
function is_stopped(pid: number): boolean {
  try {
    return /^State:\s+[Tt]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    // Gone, or not ours to see: then nothing is said of it.
    return false;
  }
}
