/** Ends a host that has no agent: one that hangs does not leave with its pane, nor when it is told to. */
import { signal_process } from "../containment/end-family.ts";
import { SupervisorError } from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { gone_within } from "../drivers/gone.ts";

/** How long a host whose session was ended may take to leave by itself, in ms. */
const LEAVE_MS = 1_000;
/** How long a killed one may take to be gone, in ms: on a busy machine the kernel takes its memory back for a while. */
const GONE_MS = 5_000;

/** Kills by pid and start time. False when it is still there at the deadline: one that the kernel holds is left to the kernel. */
export function end_host(host: ProcessRef): Promise<boolean> {
  signal_process(host, "SIGKILL");
  return gone_within(host, GONE_MS);
}

/** Waits for a host whose session was ended to leave; one that does not is killed. Rejects when it is there all the same: then nothing of it may be forgotten. */
export async function see_host_off(host: ProcessRef): Promise<void> {
  if (!(await gone_within(host, LEAVE_MS)) && !(await end_host(host))) throw still_there(host);
}

/** For a host that was killed and that the kernel still holds. */
export const still_there = ({ pid }: ProcessRef) =>
  new SupervisorError(
    "host_failed",
    `the host (pid ${pid}) was killed ${GONE_MS / 1000} s ago and is still there: the kernel holds it, most often for a disk or a mount that does not answer`,
  );
