/** What an answer about holders means for one file. */
import { is_used_up, trouble } from "../contract/errors.ts";
import type { Holder, Verdict } from "../contract/receipt.ts";
import { type FileId, holds, type LsofAnswer, type RawHolder } from "../drivers/lsof.ts";

export interface FileVerdict {
  path: string;
  verdict: Verdict;
  holders: Holder[];
  /** Why the verdict is unknown, else null. */
  reason: string | null;
  /** Null for a file that was not there. */
  id: FileId | null;
}

/** Says whose process a holder is. */
export type Whose = (pid: number) => Holder["whose"];

/** What lsof says of some files, and of which it says less than /proc does: then nobody can tell. By the file's name. */
export type Answer = LsofAnswer & { doubts?: ReadonlyMap<string, string> };

/** Whatever goes wrong is no verdict. */
export const without_answer = (error: unknown): Answer => ({ ok: false, reason: trouble(error) });

/** Pure: one file, one answer. */
export function judge(path: string, id: FileId | null, answer: Answer, whose: Whose): FileVerdict {
  const clear: FileVerdict = { path, verdict: "clear", holders: [], reason: null, id };
  if (id === null) return clear;
  if (!answer.ok) return { ...clear, verdict: "unknown", reason: answer.reason };
  let holders: Holder[];
  try {
    holders = answer.holders.filter((one) => holds(one, id)).map((one) => with_owner(one, whose));
  } catch (error) {
    if (!is_used_up(error)) throw error;
    return { ...clear, verdict: "unknown", reason: `its holders could not be looked at: ${trouble(error)}` };
  }
  if (holders.length > 0) return { ...clear, verdict: "held", holders };
  const doubt = answer.doubts?.get(path);
  return doubt === undefined ? clear : { ...clear, verdict: "unknown", reason: doubt };
}

function with_owner({ device: _device, inode: _inode, ...holder }: RawHolder, whose: Whose): Holder {
  return { ...holder, whose: whose(holder.pid) };
}
