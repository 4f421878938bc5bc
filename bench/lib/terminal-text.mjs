/** What a terminal made of output, undone: CR LF, and the first and last line that script(1) adds of its own. */
export function terminal_output(log) {
  let text = log.toString("latin1").replaceAll("\r\n", "\n");
  if (text.startsWith("Script started on ")) text = text.slice(text.indexOf("\n") + 1);
  const end = text.lastIndexOf("\nScript done on ");
  if (end !== -1) text = text.slice(0, end + (text[end - 1] === "\n" ? 0 : 1));
  return Buffer.from(text, "latin1");
}
