/** Sees a process that is no child of ours off. */
import { setTimeout as delay } from "node:timers/promises";
import type { ProcessRef } from "../contract/receipt.ts";
import { is_alive } from "./procfs.ts";

/** How often is looked, in ms: the kernel tells only parents of an end. */
const LOOK_MS = 5;

/** Resolves with true when the process is gone, and with false when it is still there after so many ms. */
export async function gone_within(one: ProcessRef, ms: number, look_ms = LOOK_MS): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (is_alive(one)) {
    if (performance.now() > deadline) return false;
    await delay(look_ms);
  }
  return true;
}
