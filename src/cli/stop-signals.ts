/** The signals that ask a daemon in this process to stop. */
import { deferred } from "../contract/deferred.ts";

/**
 * One press of Ctrl-C can arrive twice: from the terminal, and passed on by `npm start`. A person's second press takes longer. In ms.
 */
const ONE_PRESS_MS = 250;

/**
 * INT, TERM or HUP: the first asks for an orderly stop, a second one does not wait for it. A hang-up is nobody's second press: it also comes
 * when a stop ends the tmux server that this daemon itself runs in.
 */
export function stop_signals(): { first: Promise<null>; second: Promise<"at once"> } {
  const first = deferred<null>();
  const second = deferred<"at once">();
  let asked_at: number | null = null;
  const on_signal = (signal: NodeJS.Signals) => {
    asked_at ??= performance.now();
    if (signal !== "SIGHUP" && performance.now() - asked_at > ONE_PRESS_MS) second.resolve("at once");
    first.resolve(null);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, on_signal);
  return { first: first.promise, second: second.promise };
}
