// What there is of a system and its agents at a moment, and what more there is at a later one.
import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { descriptors, processes_of } from "./proc.mjs";
import { run_file } from "./undo.mjs";

/** Files are everything in its directory, sockets and pipes included. */
export async function inventory(system) {
  const spare = await system.spare?.();
  // There is one before and one after, but another one: none more may be left.
  const named = (list) => list.map((one) => (spare && names_spare(one, spare) ? "the spare host" : one));
  const sessions = system.tmux_socket
    ? (await run_file("tmux", ["-S", system.tmux_socket, "list-sessions", "-F", "#{session_name}"])).stdout
        .split("\n")
        .filter(Boolean)
    : [];
  const processes = await processes_of(system.root);
  return {
    descriptors: system.pid ? (await descriptors(system.pid())).open : 0,
    files: named((await readdir(system.root, { recursive: true })).sort()),
    sessions: named(sessions),
    processes: named(processes.map(({ pid, started, command }) => `${pid} ${started} ${command}`)),
    // What a host said before it was ready is deleted when it is; its stderr stays open.
    deleted: named(await deleted_files(processes, system.root)),
  };
}

const names_spare = (text, { pid, session, socket }) =>
  text === session || text.startsWith(`${pid} `) || text.includes(`/${basename(socket, ".sock")}.`);

/** Files of ours that are deleted and still open, as lsof lists them (`+L1`: link count below one). */
async function deleted_files(processes, root) {
  if (processes.length === 0) return [];
  const pids = processes.map(({ pid }) => pid).join(",");
  // lsof exits 1 when it has nothing to list, too.
  const { stdout } = await run_file("lsof", ["-nP", "-w", "+L1", "-a", "-p", pids, "-F", "pfn"]).catch((error) => {
    if (error.code !== 1) throw error;
    return error;
  });
  return stdout.split("\n").filter((line) => line.startsWith("n") && line.includes(root));
}

export const difference = (before, after) =>
  Object.fromEntries(
    ["files", "sessions", "processes", "deleted"].map((kind) => [
      kind,
      after[kind].filter((one) => !before[kind].includes(one)),
    ]),
  );

/** Of `cycles` agents of a system. */
export function left_rows(name, left, cycles, before, after) {
  const list = (kind) =>
    [left[kind].length, ...left[kind].slice(0, 3).map((one) => one.split("/").slice(-1)[0])].join(" ");
  return [
    {
      name: `${name}: processes left of ${cycles} agents`,
      figure: `${left.processes.length} (${(left.processes.length / cycles).toFixed(2)} an agent)`,
      value: left.processes.length,
    },
    { name: `${name}: files left`, figure: list("files"), value: left.files.length },
    { name: `${name}: deleted files held open`, figure: String(left.deleted.length), value: left.deleted.length },
    ...(before.descriptors
      ? [{ name: `${name}: descriptors of the manager`, figure: `${before.descriptors} → ${after.descriptors}` }]
      : []),
    ...(left.sessions.length ? [{ name: `${name}: sessions left`, figure: list("sessions") }] : []),
  ];
}
