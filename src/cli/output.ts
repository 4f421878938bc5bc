/** What commands print: one JSON document, or text that is safe for a person's terminal. */
import { styleText } from "node:util";
import Table from "cli-table3";
import pretty_bytes from "pretty-bytes";
import { NEVER_RAN } from "../contract/never-ran.ts";
import { one_line, printable, printable_json } from "../contract/printable.ts";
import type { Receipt } from "../contract/receipt.ts";

/** One JSON document. To a pipe exactly as it is; on a terminal what a terminal would obey is escaped, which is the same value. */
export function print_json(value: unknown): void {
  const json = JSON.stringify(value);
  process.stdout.write(`${process.stdout.isTTY ? printable_json(json) : json}\n`);
}

/** Text, made safe here for every command: some of it is always somebody else's. */
export function print(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** A table; its bold titles are the only codes that a command writes to a terminal. */
export function print_table(head: string[], rows: string[][]): void {
  process.stdout.write(`${table(head, rows)}\n`);
}

/** One line of an agent's text, for a table cell. */
export const cell = (text: string, width: number): string => {
  const line = one_line(text);
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
};

function table(head: string[], rows: string[][]): string {
  const none = {
    top: "",
    "top-mid": "",
    "top-left": "",
    "top-right": "",
    bottom: "",
    "bottom-mid": "",
    "bottom-left": "",
    "bottom-right": "",
    left: "",
    "left-mid": "",
    mid: "",
    "mid-mid": "",
    right: "",
    "right-mid": "",
    middle: "  ",
  };
  const drawn = new Table({
    head: head.map((title) => styleText("bold", title)),
    chars: none,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  drawn.push(...rows.map((row) => row.map(one_line)));
  // The last column needs no filling: it would wrap on a terminal that is narrower than the widest row.
  return drawn.toString().replace(/ +$/gm, "");
}

/** A receipt as a person reads it. */
export function receipt_text(receipt: Receipt): string {
  const { cleanup, exit } = receipt;
  const never_ran = receipt.notes.includes(NEVER_RAN);
  const unseen = never_ran ? "it never ran" : "nobody saw how";
  const how = exit.signal ? `by ${exit.signal}` : exit.code === null ? unseen : `exit code ${exit.code}`;
  const lines = [
    `${one_line(receipt.agent_id)}  ${receipt.status} (${one_line(how)}): ${one_line(receipt.reason)}`,
    ...outcome_lines(receipt),
    `  processes  ${cleanup.processes_ended.length} ended${cleanup.survivors.length > 0 ? `, SURVIVORS: ${cleanup.survivors.map((one) => `${one_line(one.command)} (${one.pid})`).join(", ")}` : ", none left"}`,
    `  session    ${receipt.session_killed ? "gone" : never_ran ? "none" : "not ended by us"}`,
    `  output     ${cleanup.bytes_logged} bytes logged of ${cleanup.bytes_read} read`,
    `  handles    ${cleanup.handles}`,
    `  files      ${
      [
        ["deleted", cleanup.files_deleted],
        ["archived", cleanup.files_archived],
        ["kept", cleanup.files_kept],
        ["deferred", cleanup.files_deferred],
        ["failed", cleanup.files_failed],
      ]
        .filter(([, files]) => (files as unknown[]).length > 0)
        .map(([word, files]) => `${(files as unknown[]).length} ${word}`)
        .join(", ") || "none"
    } (${pretty_bytes(cleanup.bytes_freed)} freed)`,
    `  took       ${took(cleanup.duration_ms)} ms`,
  ];
  for (const file of cleanup.files_deferred)
    lines.push(
      `  waiting    ${one_line(file.path)}: ${file.verdict}${file.reason ? `: ${one_line(file.reason)}` : ""}${file.holders.map((one) => ` by ${one_line(one.command)} (pid ${one.pid}, fd ${one.fd}, ${one.access})`).join(",")}`,
    );
  for (const file of cleanup.files_failed) lines.push(`  failed     ${one_line(file.path)}: ${one_line(file.error)}`);
  for (const note of receipt.notes) lines.push(`  note       ${one_line(note)}`);
  return lines.join("\n");
}

/**
 * The steps and what lies between them, which add up to the total: `other` is the waiting for an agent that leaves by itself and for the
 * registry to be on disk. The host's part of an end may lie before the daemon's: then there is no `other`.
 */
function took({ total, ...steps }: Receipt["cleanup"]["duration_ms"]): string {
  const words = Object.entries(steps).map(([step, ms]) => `${step} ${ms}`);
  if (total === undefined) return words.join(", ");
  const other = Math.round((total - Object.values(steps).reduce((sum, ms) => sum + ms, 0)) * 10) / 10;
  return [...words, ...(other > 0 ? [`other ${other}`] : []), `total ${total}`].join(", ");
}

/** Shown where more than the exit says something. */
function outcome_lines({ outcome }: Receipt): string[] {
  if (!outcome || (!outcome.report && !outcome.result_event)) return [];
  const said = {
    "its exit": outcome.exit,
    "its report": outcome.report,
    "its stream": outcome.result_event?.status ?? null,
  };
  const words = Object.entries(said).flatMap(([who, word]) => (word ? [`${who} says ${word}`] : []));
  const by = { exit: "its exit", report: "its report", result_event: "its stream", cause: "what ended it" }[
    outcome.decided_by
  ];
  return [`  outcome    ${words.join(", ")}${outcome.agrees ? "" : `; they do not agree: ${by} counts`}`];
}
