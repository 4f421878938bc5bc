/** Who names those that may hold a file: the thread that looks through /proc, or nobody, and lsof looks over everything. */
import { type Looker, LookThread } from "../drivers/look-thread.ts";
import type { DaemonOptions } from "./options.ts";

/** Started while the rest boots. Null where lsof alone was asked for. */
export function looker_of({ verification, looker, look_program }: DaemonOptions): Looker | null {
  if (verification === "lsof") return null;
  if (looker) return looker;
  const thread = new LookThread({
    no_leases: verification === "proc" ? "SUPERVISOR_VERIFICATION=proc asks for none" : null,
    ...(look_program === undefined ? {} : { program: look_program }),
  });
  thread.warm();
  return thread;
}
