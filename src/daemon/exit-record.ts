/** Exit records: what a host leaves on disk when its agent has ended, for a daemon that was not there. Read here, removed by an end. */
import { rename } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { z } from "zod";
import { is_errno } from "../contract/errors.ts";
import { type ClosedReport, closed_report } from "../contract/receipt.ts";
import { in_directory, is_out_of_place, read_in_place } from "../drivers/in-place.ts";

/** The record, or null when there is none. One that is not a record of this agent is set aside: it proves nothing, and must not be in the way. */
export async function read_exit_record(path: string, agent_id: string): Promise<ClosedReport | null> {
  try {
    const report = closed_report.parse(JSON.parse(await read_in_place(path)));
    if (report.agent_id === agent_id) return report;
  } catch (error) {
    // A record that leads elsewhere is none of the host's: what it says is not looked at.
    if (is_errno(error, "ENOENT") || is_out_of_place(error)) return null;
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
  }
  await in_directory(dirname(path), (at) => rename(at(basename(path)), at(`${basename(path)}.broken`)));
  return null;
}
