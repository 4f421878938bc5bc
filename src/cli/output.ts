/** What commands print: one JSON document, or text that is safe for a person's terminal. */
import { styleText } from "node:util";
import Table from "cli-table3";
import pretty_bytes from "pretty-bytes";
import type { Receipt } from "../contract/receipt.ts";

export function print_json(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/**
 * Text of an agent without what a terminal obeys: C0 and C1 control characters become visible, newline and tab stay. An escape
 * sequence thereby loses its ESC and is shown as the text it is.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => {
    const code = char.charCodeAt(0);
    if (code === 0x0d) return "";
    return code < 0x20 ? `^${String.fromCharCode(code + 64)}` : code === 0x7f ? "^?" : `\\x${code.toString(16)}`;
  });
}

/** One line of an agent's text, for a table cell. */
export const cell = (text: string, width: number): string => {
  const line = printable(text).replace(/\s+/g, " ").trim();
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
};

export function table(head: string[], rows: string[][]): string {
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
  drawn.push(...rows);
  return drawn.toString();
}

/** A receipt as a person reads it. */
export function receipt_text(receipt: Receipt): string {
  const { cleanup, exit } = receipt;
  const how = exit.signal ? `by ${exit.signal}` : exit.code === null ? "nobody saw how" : `exit code ${exit.code}`;
  const lines = [
    `${receipt.agent_id}  ${receipt.status} (${how}): ${printable(receipt.reason)}`,
    `  processes  ${cleanup.processes_ended.length} ended${cleanup.survivors.length > 0 ? `, SURVIVORS: ${cleanup.survivors.map((one) => `${one.command} (${one.pid})`).join(", ")}` : ", none left"}`,
    `  session    ${receipt.session_killed ? "gone" : "not ended by us"}`,
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
    `  took       ${Object.entries(cleanup.duration_ms)
      .map(([step, ms]) => `${step} ${ms}`)
      .join(", ")} ms`,
  ];
  for (const file of cleanup.files_deferred)
    lines.push(
      `  waiting    ${file.path}: ${file.verdict}${file.reason ? `: ${printable(file.reason)}` : ""}${file.holders.map((one) => ` by ${printable(one.command)} (pid ${one.pid}, fd ${one.fd}, ${one.access})`).join(",")}`,
    );
  for (const file of cleanup.files_failed) lines.push(`  failed     ${file.path}: ${file.error}`);
  for (const note of receipt.notes) lines.push(`  note       ${printable(note)}`);
  return lines.join("\n");
}
