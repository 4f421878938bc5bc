/** Which agent a file in a task's folders has its name from. Pure. A name alone proves nothing. */
import { AGENT_ID_PATTERN } from "../../contract/ids.ts";

/** The names that an agent's files have in the folders of its task; the first group is the agent's id. */
export const AGENT_FILES: readonly [folder: string, name: RegExp][] = [
  ["", /^agent_prompt_(.+)\.txt$/],
  ["", /^agent_mcp_(.+)\.json$/],
  ["logs", /^deploy_(.+)\.json$/],
  ["logs", /^(.+)_stream(?:\.\d+)?\.jsonl$/],
  ["logs", /^(.+)_terminal(?:\.\d+)?\.log$/],
  ["progress", /^(.+)_progress\.jsonl$/],
  ["findings", /^(.+)_findings\.jsonl$/],
];

/** The agent that a file in `folder` is named after, or null. */
export function file_owner(folder: string, name: string): string | null {
  for (const [where, pattern] of AGENT_FILES) {
    const id = where === folder ? pattern.exec(name)?.[1] : undefined;
    if (id !== undefined && AGENT_ID_PATTERN.test(id)) return id;
  }
  return null;
}

/** The agent that a file in the archive is named after, or null. A second file of a name has a number. */
export function archive_owner(name: string): string | null {
  const receipt = /^(.+)_receipt\.json$/.exec(name)?.[1];
  if (receipt !== undefined) return AGENT_ID_PATTERN.test(receipt) ? receipt : null;
  const plain = /^(.+?)(?:\.\d+)?\.gz$/.exec(name)?.[1];
  if (plain === undefined) return null;
  for (const [folder] of AGENT_FILES) {
    const id = file_owner(folder, plain);
    if (id) return id;
  }
  return null;
}
