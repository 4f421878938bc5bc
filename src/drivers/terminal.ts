/** Runs a program in the caller's own terminal: the one case in which a client, not the daemon, starts a process. */
import { start_program } from "./program.ts";

/** Resolves with its exit code. TMUX is taken out, so that it works inside a tmux of the user's own. */
export async function run_in_terminal(command: string[], env: Record<string, string | undefined>): Promise<number> {
  const [program, ...args] = command as [string, ...string[]];
  const { child } = await start_program(program, args, {
    stdio: "inherit",
    env: { ...env, TMUX: undefined },
    extendEnv: false,
    reject: false,
  });
  const result = await child;
  return result.exitCode ?? 1;
}
