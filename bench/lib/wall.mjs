/** How long a command takes, its own start included. */
import { spawn } from "node:child_process";

/** Milliseconds until it has ended. Rejects when it cannot be started, or fails. */
export function wall(program, args, env) {
  const began = performance.now();
  const child = spawn(program, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0
        ? resolve(performance.now() - began)
        : reject(new Error(`${program} ${args.join(" ")} ended with ${code}`)),
    );
  });
}
