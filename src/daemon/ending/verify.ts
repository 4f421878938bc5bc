/** Asks for the verdict on the files that were set aside. */
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import type { ProcessRef } from "../../contract/receipt.ts";
import { may_look_at } from "../../drivers/proc-open-files.ts";
import { process_ref_of } from "../../drivers/procfs.ts";
import type { FileVerdict } from "../verdict.ts";
import type { Verifier } from "../verifier.ts";

/** `may_look`: only a test has another. */
export async function verify_files(
  verifier: Pick<Verifier, "verify">,
  agent: Pick<AgentRecord, "process" | "host">,
  ending: Pick<Ending, "closed" | "set_aside">,
  may_look: (pid: number) => boolean = may_look_at,
): Promise<FileVerdict[]> {
  const family = [...(ending.closed?.survivors ?? []), ...(agent.process ? [agent.process] : [])];
  const paths = ending.set_aside.map((file) => file.trash_path);
  const asked = [...family, ...(agent.host ? [agent.host] : [])].filter(is_there);
  const verdicts = await verifier.verify(
    paths,
    asked.map((one) => one.pid),
  );
  // The end may be tried again after weeks, when others have the pids.
  const own = family.filter(is_there).map((one) => one.pid);
  const closed_book = own.find((pid) => !may_look(pid));
  return verdicts.map((one) => {
    const holders = one.holders.map((holder) =>
      own.includes(holder.pid) ? { ...holder, whose: "agent" as const } : holder,
    );
    if (one.verdict !== "clear" || one.id === null || closed_book === undefined) return { ...one, holders };
    const reason = `process ${closed_book} of the agent lives on, and what it has open may not be looked at`;
    return { ...one, verdict: "unknown", holders, reason };
  });
}

const is_there = ({ pid, start_time }: ProcessRef) => process_ref_of(pid)?.start_time === start_time;
