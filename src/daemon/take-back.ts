/**
 * Takes back what a deploy that failed had done, last first. A step that fails (no descriptor is free, say) is tried again by itself until it succeeds, and so long
 * nothing before it is touched: the registry's entry, which was made first, goes last, so that whatever is left has somebody who knows of it. What a daemon
 * leaves undone is found by the next one, as a deploy that was interrupted.
 */
import type { AgentRecord } from "../contract/agent.ts";
import { message_of } from "../contract/errors.ts";
import { EndUnderWay } from "./ending/end-under-way.ts";
import type { Services } from "./services.ts";

/** `done` has what takes each step back, in the order of the steps; each may be run again after it failed. Resolves after the first attempt: null when nothing is left, else why not. */
export async function take_back(
  services: Services,
  agent: AgentRecord,
  done: readonly (() => Promise<unknown>)[],
): Promise<string | null> {
  if (services.halted.signal.aborted) return "the supervisor is leaving, and the next one goes on";
  const left = [...done];
  const attempt = async () => {
    for (let back = left.at(-1); back; back = left.at(-1)) {
      await back();
      left.pop();
    }
  };
  let told = "";
  const work = new EndUnderWay<void>(
    attempt,
    (error, retry_ms) => {
      const reason = message_of(error);
      services.log[reason === told ? "debug" : "error"](
        { agent_id: agent.id, error: reason, retry_ms },
        "what a deploy had done could not be taken back; it is tried again",
      );
      told = reason;
    },
    services.halted.signal,
  );
  services.take_backs.set(agent.id, work);
  const first = work.join().then(() => null, message_of);
  void work.run().finally(() => {
    services.take_backs.delete(agent.id);
    services.queue.pump();
  });
  return first;
}
