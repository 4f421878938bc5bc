/** Room for an agent, looked for before anything of it is made: a host without a free descriptor cannot even let its daemon in, and an end needs some as well. */
import { closeSync, openSync } from "node:fs";
import { why_not_started } from "../contract/errors.ts";

/**
 * What a launch takes at once at most (pane 3, pty 3, logs 4, named pipe 1, a program that is being started 5); with Node 20.20 it works with 13. An end, which has
 * given most of its own back when it writes, needs fewer.
 */
const LEAST_FREE = 16;

/** Throws with the reason, in words, when there are too few. */
export function require_descriptors(): void {
  const held: number[] = [];
  try {
    while (held.length < LEAST_FREE) held.push(openSync("/dev/null", "r"));
  } catch (error) {
    const why = why_not_started(error);
    throw why ? new Error(`a host needs ${LEAST_FREE} free descriptors: ${why}`) : error;
  } finally {
    for (const fd of held) closeSync(fd);
  }
}
