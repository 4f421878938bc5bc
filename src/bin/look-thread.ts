/** The thread of the daemon that looks at processes (`drivers/look-thread` says what it is asked): one question at a time, one reply to each, until it is told to end. */
import { parentPort, workerData } from "node:worker_threads";
import { message_of } from "../contract/errors.ts";
import { load_leases } from "../drivers/lease.ts";
import type { FromLookThread, LookQuestion, LookReply, LookThreadData, ToLookThread } from "../drivers/look-thread.ts";
import { look_again, look_through_proc } from "../drivers/proc-holders.ts";

const { progress, no_leases } = workerData as LookThreadData;
const told = new Int32Array(progress);
const leases = no_leases === null ? load_leases() : Promise.resolve(no_leases);
const at = (pid: number) => {
  if (Atomics.load(told, 2) === 1) throw new Error("the supervisor is stopping");
  Atomics.store(told, 1, pid);
  Atomics.add(told, 0, 1);
};

const say = (what: FromLookThread) => parentPort?.postMessage(what);
void leases.then(() => say("ready"));
parentPort?.on("message", async (asked: ToLookThread) => {
  const witness = await leases;
  // Nothing is left to wait for then, and the thread ends by itself.
  if (asked === "end") parentPort?.close();
  else say(reply_to(asked, witness));
});

function reply_to(question: LookQuestion, witness: Awaited<typeof leases>): LookReply {
  try {
    if ("again" in question) return { again: look_again(question.again, at) };
    return { look: look_through_proc(question.look.sought, { leases: witness, trusted: question.look.trusted, at }) };
  } catch (error) {
    return { failed: message_of(error) };
  }
}
