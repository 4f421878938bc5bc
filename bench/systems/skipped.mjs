import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Thrown by a system that is not on this machine: the result names it and why, and goes on without it. */
export class Skipped extends Error {}

/** The program's place on the PATH. */
export function program(name) {
  for (const directory of (process.env.PATH ?? "").split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return join(directory, name);
    } catch (error) {
      if (!["ENOENT", "EACCES", "ENOTDIR"].includes(error.code)) throw error;
    }
  }
  throw new Skipped(`${name} is not installed`);
}

/** Starts systems one after the other. `{systems, skipped}`, the skipped with the reason. */
export async function start_all(starts) {
  const systems = [];
  const skipped = [];
  for (const start of starts) {
    try {
      systems.push(await start());
    } catch (error) {
      if (!(error instanceof Skipped)) throw error;
      skipped.push(error.message);
    }
  }
  return { systems, skipped };
}
