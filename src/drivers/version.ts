/** Asks a program for its version. Run by the daemon as it starts, and by `doctor`: a program that hangs must keep neither of them. */
import { type ErrorCode, SupervisorError } from "../contract/errors.ts";
import { type Bounded, run_bounded } from "./bounded.ts";

/** A program looks at nothing for it, and answers in 10 ms; one that does not hangs (its file on a mount that does not answer). In ms. */
const DEADLINE_MS = 10_000;
/** It prints less than 2 KB. In bytes. */
const LIMIT_BYTES = 1024 * 1024;

/** For tests: another program, and a shorter deadline (ms). */
export interface VersionOptions {
  deadline_ms?: number;
  program?: string;
}

/** What it prints, or null when it is not there. Rejects with the reason when it does not answer: with `missing`, or `out_of_resources` when nothing can be started now. */
export async function ask_version(
  name: string,
  flag: string,
  { missing, so = "" }: { missing: ErrorCode; so?: string },
  { deadline_ms = DEADLINE_MS, program = name }: VersionOptions,
): Promise<Bounded | null> {
  const answer = await run_bounded(program, [flag], { deadline_ms, max_bytes: LIMIT_BYTES });
  if (answer.failed_by === "missing") return null;
  if (answer.failed_by === "used_up")
    throw new SupervisorError(
      "out_of_resources",
      `${name} could not be asked for its version: ${answer.failure}; start again when there is room`,
    );
  if (answer.failure)
    throw new SupervisorError(
      missing,
      `${answer.failure} when it was asked for its version${so}; see that '${name} ${flag}' answers, and start again`,
    );
  return answer;
}
