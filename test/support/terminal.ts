/** A terminal of a test's own: a program runs on a real pty, and what it writes there is looked at byte for byte. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";

/** What `script` (util-linux) gives: everything that the program wrote to its terminal. */
export async function on_a_terminal(
  argv: readonly string[],
  options: { env: Record<string, string>; cwd: string },
): Promise<string> {
  const quoted = argv.map((one) => `'${one.replaceAll("'", `'\\''`)}'`).join(" ");
  // The program's own exit code is not what is looked at: some of these fail on purpose.
  const ran = await promisify(execFile)("script", ["-q", "-c", `${quoted} || true`, "/dev/null"], {
    ...options,
    encoding: "buffer",
    maxBuffer: 64 * 1024 * 1024,
  });
  return ran.stdout.toString("utf8");
}

/** Bold titles, and the colours of the readable log: what the supervisor itself writes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const OWN = /\x1b\[(?:1|22|3[0-9]|39|90|0)m/g;
/** Said anew here, and not taken from the code that is tested. CR may stand before LF alone, where the terminal's driver puts it. */
const OBEYED =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\r(?!\r*\n)/u;

/** `mark` is an innocent part of the poisoned text: without it, nothing was shown at all. */
export function expect_harmless(text: string, what: string, mark?: string): void {
  const found = OBEYED.exec(text.replace(OWN, ""));
  expect(found && JSON.stringify(text.slice(Math.max(0, found.index - 60), found.index + 60)), what).toBeNull();
  if (mark) expect(text, what).toContain(mark);
}
