/**
 * `daemon.json` as commands read it: by hand, because its schema (contract/daemon-info) would load zod in every one of them. What a field is missing, or is
 * not of its kind, is for whoever needs it to judge.
 */
import { constants } from "node:fs";
import { readFile } from "node:fs/promises";
import type { DaemonInfo } from "../contract/daemon-info.ts";
import { daemon_file } from "../contract/paths.ts";

const KINDS = {
  pid: "number",
  start_time: "number",
  boot_id: "string",
  pid_namespace: "string",
  socket: "string",
} as const;

type Said = Partial<Pick<DaemonInfo, keyof typeof KINDS>>;

/** Each field that says what it should. Rejects with the system's error, also where the file is a link, and with a SyntaxError where it is no JSON. */
export async function read_daemon_json(workspace: string): Promise<Said> {
  const text = await readFile(daemon_file(workspace), {
    encoding: "utf8",
    flag: constants.O_RDONLY | constants.O_NOFOLLOW,
  });
  const said = (JSON.parse(text) ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(KINDS).flatMap(([name, kind]) => (typeof said[name] === kind ? [[name, said[name]]] : [])),
  );
}
