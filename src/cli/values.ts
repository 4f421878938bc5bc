/** Values of options and exit codes. */
import { constants } from "node:os";
import { InvalidArgumentError } from "commander";
import type { Receipt } from "../contract/receipt.ts";

export function whole_number(value: string): number {
  if (!/^\d{1,12}$/.test(value)) throw new InvalidArgumentError("it must be a whole number.");
  return Number(value);
}

/** The agent's own exit code; a signal as shells show it (128 + its number); 1 when nobody saw the end. */
export function agent_exit_code({ exit }: Receipt): number {
  if (exit.code !== null) return exit.code;
  const number = exit.signal ? constants.signals[exit.signal as NodeJS.Signals] : undefined;
  return number === undefined ? 1 : 128 + number;
}
