// The steps, in order. Each can say cheaply whether it is needed; only when one is, the lock is taken.
import { bundles } from "./bundles.mjs";
import { with_lock } from "./lock.mjs";
import { packages } from "./packages.mjs";
import { programs } from "./programs.mjs";
import { SetupError, say } from "./run.mjs";

/** Does what is missing, and answers the exit code. */
export async function set_up(options) {
  const steps = [programs(options), packages, bundles];
  try {
    if (!steps.some((step) => step.needed())) return 0;
    // Before anything is waited for or installed: what only the reader can do, the reader should hear first.
    for (const step of steps) step.refuse_if_impossible?.();
    await with_lock(async () => {
      // Asked again: whoever held the lock before may have done it all.
      for (const step of steps) if (step.needed()) await step.apply();
    });
    return 0;
  } catch (error) {
    say(error instanceof SetupError ? error.message : error.stack);
    return 1;
  }
}
