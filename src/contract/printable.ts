/**
 * Text that others wrote (an agent's output, its message, its command, a file's name) made safe for a person's terminal. What a terminal
 * obeys (C0 and C1 controls, DEL) and what makes a line read otherwise than it is (Unicode's bidirectional overrides, zero-width and
 * tag characters, line and paragraph separators) is shown instead of obeyed.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Newlines and tabs stay; CR goes, because it only says how a line ends. An escape sequence loses its ESC and is shown as the text it is. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.codePointAt(0) as number;
    if (code === 0x0d) return "";
    if (code < 0x20) return `^${String.fromCharCode(code + 64)}`;
    if (code === 0x7f) return "^?";
    return code < 0x100 ? `\\x${code.toString(16)}` : `\\u{${code.toString(16)}}`;
  });
}

/** The same on one line, for a field of a text: a newline in it must not begin a line of ours. */
export const one_line = (text: string): string => printable(text).replace(/\s+/g, " ").trim();

/** JSON for a person's terminal: the same value, with every unsafe character escaped. (JSON leaves C1 and all of Unicode as it is.) */
export function printable_json(json: string): string {
  return json.replace(UNSAFE, (char) =>
    char === "\r" ? char : [...Array(char.length).keys()].map((i) => `\\u${hex4(char.charCodeAt(i))}`).join(""),
  );
}

const hex4 = (code: number) => code.toString(16).padStart(4, "0");
