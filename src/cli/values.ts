/** Values of options and exit codes. */
import { constants } from "node:os";
import { InvalidArgumentError } from "commander";
import type { Receipt } from "../contract/receipt.ts";
import { MIN_LOG_MAX_BYTES } from "../contract/segments.ts";
import { NO_SIZE, parse_size } from "../contract/size.ts";

export function whole_number(value: string): number {
  if (!/^\d{1,12}$/.test(value)) throw new InvalidArgumentError("it must be a whole number.");
  return Number(value);
}

/** A whole number that may be negative. */
export function integer(value: string): number {
  if (!/^-?\d{1,6}$/.test(value)) throw new InvalidArgumentError("it must be a whole number.");
  return Number(value);
}

/** A size: bytes, or a number with K, M, G or T (powers of 1024). */
export function size(value: string): number {
  const bytes = parse_size(value);
  if (bytes === null) throw new InvalidArgumentError(`it ${NO_SIZE}.`);
  return bytes;
}

/** How large one log file may grow. */
export function log_size(value: string): number {
  const bytes = size(value);
  if (bytes < MIN_LOG_MAX_BYTES) throw new InvalidArgumentError(`it must be ${MIN_LOG_MAX_BYTES} bytes or more.`);
  return bytes;
}

/** A number that may have a fraction. */
export function decimal(value: string): number {
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(value)) throw new InvalidArgumentError("it must be a number, such as 2 or 0.5.");
  return Number(value);
}

/**
 * The agent's own exit code; a signal as shells show it (128 + its number); 1 when nobody saw the end. Of an agent that reported that its work was done, or
 * failed, and then had to be asked to leave, the exit says nothing of the work: there its report counts, 0 or not.
 */
export function agent_exit_code({ exit, outcome, status }: Receipt): number {
  if (outcome?.decided_by === "report" && outcome.exit === null) {
    if (status === "completed") return 0;
    return exit.code || 1;
  }
  if (exit.code !== null) return exit.code;
  const number = exit.signal ? constants.signals[exit.signal as NodeJS.Signals] : undefined;
  return number === undefined ? 1 : 128 + number;
}
