/** The thread of the daemon that looks at processes (`drivers/look-thread` says what it is asked): one question at a time, one reply to each. */
import { parentPort, workerData } from "node:worker_threads";
import { message_of } from "../contract/errors.ts";
import { load_leases } from "../drivers/lease.ts";
import type { LookQuestion, LookReply, LookThreadData } from "../drivers/look-thread.ts";
import { look_again, look_through_proc } from "../drivers/proc-holders.ts";

const { progress, no_leases } = workerData as LookThreadData;
const told = new Int32Array(progress);
const leases = no_leases === null ? load_leases() : Promise.resolve(no_leases);
const at = (pid: number) => {
  Atomics.store(told, 1, pid);
  Atomics.add(told, 0, 1);
};

parentPort?.on("message", async (question: LookQuestion) => {
  const witness = await leases;
  parentPort?.postMessage(reply_to(question, witness));
});

function reply_to(question: LookQuestion, witness: Awaited<typeof leases>): LookReply {
  try {
    if ("again" in question) return { again: look_again(question.again, at) };
    return { look: look_through_proc(question.look.sought, { leases: witness, trusted: question.look.trusted, at }) };
  } catch (error) {
    return { failed: message_of(error) };
  }
}
