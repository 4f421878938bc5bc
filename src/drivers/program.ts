/**
 * Starts a program: the one place for execa. Run by the daemon (tmux, lsof, mkfifo, an alert's program) and by the command (`attach`, `doctor`). Whoever starts a
 * program owns it: its deadline, its output and its end are the caller's.
 *
 * A program that the machine has no means to start is an error like any other (`out_of_resources`), for the caller alone. Node tells of it in three ways: it throws
 * (ENOMEM), it emits `error` (EAGAIN), or, with EMFILE and ENFILE, it emits `error` at the next tick on a child that has no stdio. execa 9.6 reads that stdio,
 * throws a TypeError over it, and nobody hears the event: the process would end (seen; nodejs/node#14166 calls it intended). The channel `child_process` of
 * node:diagnostics_channel names the child before it is spawned, so that somebody hears it.
 */
import type { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { execa, type Options, type ResultPromise } from "execa";
import { SupervisorError, why_not_started } from "../contract/errors.ts";

/**
 * Resolves when the program was started, before the event loop turns: it is at least a zombie then. Also when it could not be for a reason of its own (ENOENT): then the
 * child has no pid, and its result the reason. Rejects with `out_of_resources` when descriptors, processes or memory are used up; nothing is left of it.
 */
export async function start_program<O extends Options>(
  program: string,
  args: readonly string[],
  options: O,
): Promise<{ child: ResultPromise<O> }> {
  const { child, error } = spawn_heard(program, args, options);
  if (child && child.pid !== undefined) return { child };
  const refused = await (error ?? (child as Promise<unknown>).catch((reason) => reason));
  const why = why_not_started(refused);
  if (why) throw new SupervisorError("out_of_resources", `${program} could not be started: ${why}`, { cause: refused });
  if (!child) throw refused;
  return { child };
}

type Spawned<O extends Options> =
  | { child: ResultPromise<O>; error: null }
  /** execa has thrown: what the child says, or else what was thrown. */
  | { child: null; error: Promise<unknown> };

function spawn_heard<O extends Options>(program: string, args: readonly string[], options: O): Spawned<O> {
  const made: ChildProcess[] = [];
  const note = (message: unknown) => made.push((message as { process: ChildProcess }).process);
  subscribe("child_process", note);
  try {
    // The type that execa infers depends on the very options; these are only known to be some.
    return { child: execa(program, args, options) as unknown as ResultPromise<O>, error: null };
  } catch (thrown) {
    const [child] = made;
    // Without stdio: the one case in which Node gave up before it made any.
    if (!child || child.pid !== undefined || child.stdio !== undefined) throw thrown;
    return { child: null, error: once(child, "error").then(([error]) => error) };
  } finally {
    unsubscribe("child_process", note);
  }
}
