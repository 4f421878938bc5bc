/**
 * The agent host. Run by tmux in the agent's pane, one per agent, and as long-lived as the agent. Owns the pty, is the only
 * writer of the logs, and obeys whichever daemon connects. A daemon that is slow or gone changes nothing for the agent; when
 * the agent ends without one, the exit record on disk tells the next daemon.
 */
import { unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { is_errno } from "../contract/errors.ts";
import { host_stderr } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { process_ref_of } from "../drivers/procfs.ts";
import { crash_point } from "../faults/crash-point.ts";
import { Control } from "./control.ts";
import { require_descriptors } from "./descriptors.ts";
import { settle_heap } from "./heap.ts";
import { Life } from "./life.ts";
import { answer, type Host } from "./requests.ts";
import { Session } from "./session.ts";
import { TerminalAhead } from "./terminal-ahead.ts";
import { type HostOptions, Waiting } from "./waiting.ts";

/** Runs one host from its socket's first moment to its last. Resolves when the process may exit. */
export async function run_host(given: HostOptions): Promise<void> {
  require_descriptors();
  const itself = process_ref_of(process.pid) as ProcessRef;
  /** A spare's change when it becomes an agent's. */
  const options = { ...given };
  const ahead = new TerminalAhead();
  const control = new Control((request) => answer(host, request));
  const waiting = new Waiting(options, control);
  const life = new Life({ host: options, control, ahead, on_hang_up: () => void session.judge_hang_up() });
  const session = new Session(options, life, control);
  const host: Host = { itself, options, waiting, life, session };
  // From a pane that is not our own terminal the kernel sends none: such a signal says nothing about the pane.
  process.on("SIGHUP", () => {
    if (!life.agent || life.agent.view.is_own_terminal) void session.judge_hang_up();
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => life.end("kill", life.agent?.grace_ms ?? 0, signal));

  await control.listen(options.socket);
  settle_heap();
  crash_point("host.listening");
  try {
    ahead.open();
    await Promise.race([life.launched.promise, waiting.deserted()]);
    waiting.end();
    await life.take_none();
    if (life.agent) await life.released.promise;
    crash_point("host.released");
  } finally {
    session.leave();
    control.close();
    unlink_if_there(options.socket);
    // The daemon that started us removes it when it has connected; one that died before has not.
    unlink_if_there(host_stderr(dirname(given.socket), given.agent_id));
  }
}

/** Not `rmSync`, for which Node loads the removal of whole trees. */
function unlink_if_there(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!is_errno(error, "ENOENT")) throw error;
  }
}
