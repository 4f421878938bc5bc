/** The receipt beside what was archived of an agent: an archive says itself whose it is, and what became of everything else. */
import type { AgentRecord } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { archived_receipt_path } from "../../contract/paths.ts";
import { replace_in_place } from "../../drivers/in-place.ts";
import type { Services } from "../services.ts";

/** Writes it, durably, if anything of the agent was archived. Never fails: what cannot be written now is written when the agent leaves the registry. */
export async function keep_receipt(services: Services, agent: AgentRecord): Promise<void> {
  const { receipt } = agent;
  if (!receipt || receipt.cleanup.files_archived.length === 0) return;
  const path = archived_receipt_path(services.registry.task_of(agent).dir, agent.id);
  await replace_in_place(path, `${JSON.stringify(receipt, null, 2)}\n`).catch((error) =>
    services.log.warn(
      { agent_id: agent.id, error: message_of(error) },
      "the receipt could not be put beside the archive",
    ),
  );
}
