/** The receipt beside what was archived of an agent: an archive says itself whose it is, and what became of everything else. */
import type { AgentRecord } from "../../contract/agent.ts";
import { message_of } from "../../contract/errors.ts";
import { archived_receipt_path } from "../../contract/paths.ts";
import { replace_in_place } from "../../drivers/in-place.ts";
import type { Services } from "../services.ts";

/** By path: an end, a sweep and a departure may want to write the same receipt at once, and a file has one writer at a time. */
const writing = new Map<string, Promise<unknown>>();

/** Writes it, durably, if anything of the agent was archived. Rejects when it cannot be written. */
export async function put_receipt(services: Services, agent: AgentRecord): Promise<void> {
  const { receipt } = agent;
  if (!receipt || receipt.cleanup.files_archived.length === 0) return;
  const path = archived_receipt_path(services.registry.task_of(agent).dir, agent.id);
  const before = writing.get(path) ?? Promise.resolve();
  const mine = before
    .catch(() => undefined /* told to who asked for it */)
    .then(() => replace_in_place(path, `${JSON.stringify(receipt, null, 2)}\n`))
    .finally(() => {
      if (writing.get(path) === mine) writing.delete(path);
    });
  writing.set(path, mine);
  await mine;
}

/** As `put_receipt`, and never fails: an agent does not leave the registry before its receipt is there. */
export async function keep_receipt(services: Services, agent: AgentRecord): Promise<void> {
  await put_receipt(services, agent).catch((error) =>
    services.log.warn(
      { agent_id: agent.id, error: message_of(error) },
      "the receipt could not be put beside the archive",
    ),
  );
}
