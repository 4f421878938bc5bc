/** Asks for the verdict on the files that were set aside. */
import type { AgentRecord, Ending } from "../../contract/agent.ts";
import type { FileVerdict, Verifier } from "../verifier.ts";

export async function verify_files(verifier: Verifier, agent: AgentRecord, ending: Ending): Promise<FileVerdict[]> {
  const family = new Set(ending.closed?.survivors.map((one) => one.pid));
  if (agent.process) family.add(agent.process.pid);
  const paths = ending.set_aside.map((file) => file.trash_path);
  const verdicts = await verifier.verify(paths, [...family, ...(agent.host ? [agent.host.pid] : [])]);
  return verdicts.map((one) => ({
    ...one,
    holders: one.holders.map((holder) => (family.has(holder.pid) ? { ...holder, whose: "agent" as const } : holder)),
  }));
}
