// The agents that all systems run: one shell script each.

export const PROMPT = "a short prompt, read from stdin\n";
export const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Prints its pid at once and then idles until TERM or HUP ends it. */
export const READY_AGENT = `echo "{\\"type\\":\\"ready\\",\\"pid\\":$$}"; exec sleep 1000`;
/** The same, and ignores every polite signal. */
export const DEAF_AGENT = `trap '' TERM HUP INT; echo "{\\"type\\":\\"ready\\",\\"pid\\":$$}"; exec sleep 1000`;
/** Leaves helpers in sessions of their own, one of which holds the log. */
export const ESCAPING_AGENT = `setsid sleep 1000 </dev/null >/dev/null 2>&1 & setsid sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 & ${READY_AGENT}`;
/** Prints and ends by itself. */
export const PASSING_AGENT = `echo "{\\"type\\":\\"ready\\",\\"pid\\":$$}"`;

/** Prints a file and leaves a mark when it has. */
export const printing = (payload, mark) => `cat ${quote(payload)}; : >${quote(mark)}`;
/** Prints a file only when it is asked to end, by whatever signal the system asks with (pm2: INT). What the shell itself would say of its
 * ended child is not output, hence no stderr. It says `ready` with another mark, so that the log has the file alone. */
export const printing_at_its_end = (payload, mark) =>
  `exec 2>/dev/null; trap ${quote(`trap '' TERM HUP INT; cat ${quote(payload)}; : >${quote(mark)}; kill $!; exit 0`)} TERM HUP INT; sleep 1000 & : >${quote(`${mark}.ready`)}; while :; do wait $!; done`;

/** The pid that an agent printed as its first line. */
export function pid_in(text) {
  const pid = /"pid":(\d+)/.exec(text)?.[1];
  if (pid === undefined) throw new Error(`no pid in the first line of a log: ${text.slice(0, 200)}`);
  return Number(pid);
}
