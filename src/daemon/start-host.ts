/**
 * Starts a host in a tmux session of its own, connects to it and asks for its facts. The host outlives the daemon; when it ends before it is ready, or
 * is not ready in time, what it said on stderr is in the error.
 */
import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { HostEvent } from "../contract/host-protocol.ts";
import { host_socket, host_stderr } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { arguments_of, process_ref_of } from "../drivers/procfs.ts";
import { new_session } from "../drivers/tmux/sessions.ts";
import { armed_crash } from "../faults/crash-point.ts";
import { await_host } from "./await-host.ts";
import { end_host } from "./end-host.ts";
import host_flags from "./host-flags.json" with { type: "json" };
import type { ReadyHost, Services } from "./services.ts";

/**
 * The host beside this file's bundle. What Node is told when it runs one is in host-flags.json: its program is compiled ahead with the same flags (scripts/build.mjs), and
 * V8 takes it with no others. None of V8's own are among them: host/heap.ts says why.
 */
export const HOST_PROGRAM = fileURLToPath(new URL("../agent-host.cjs", import.meta.url));

export interface HostStart {
  /** The agent's id, or that of a spare. */
  id: string;
  session: string;
  spare: boolean;
  on_event(event: HostEvent): void;
  /** The session is there, the host not yet. */
  on_session?(): void;
  /** Aborted: it is not wanted any more, and is ended. */
  signal?: AbortSignal;
}

export async function start_host(services: Services, start: HostStart): Promise<ReadyHost> {
  const socket = host_socket(services.runtime_dir, start.id);
  const stderr = host_stderr(services.runtime_dir, start.id);
  // Made here, because a shell would make it with a mode of its own.
  await rm(stderr, { force: true });
  await writeFile(stderr, "", { flag: "wx", mode: 0o600 });
  const pane_pid = await new_session(services.tmux, start.session, [
    "/bin/sh",
    "-c",
    'exec 2>"$0" && exec "$@"',
    stderr,
    process.execPath,
    ...host_flags,
    services.host_program,
    start.id,
    socket,
    services.tmux.socket,
    ...(start.spare ? ["spare", ourselves()] : []),
    ...crash_argument(),
  ]);
  start.on_session?.();
  const host = process_ref_of(pane_pid);
  try {
    const link = await await_host(services, start, { socket, pane_pid, stderr });
    try {
      return { link, facts: await link.hello(), session: start.session };
    } catch (error) {
      link.close();
      throw error;
    }
  } catch (error) {
    // It has no agent yet. One that hangs would not leave with its pane.
    if (host && arguments_of(host.pid).includes(socket)) await end_host(host);
    throw error;
  }
}

/** The daemon that a spare is for, as its argument: one that died while the spare booted is not waited for. */
function ourselves(): string {
  const { pid, start_time } = process_ref_of(process.pid) as ProcessRef;
  return `${pid}:${start_time}`;
}

/** A host reads no environment: a crash point that is armed here is handed on as an argument. Nothing in use. */
function crash_argument(): string[] {
  const crash = armed_crash();
  return crash ? [`${crash.at}:${crash.mark}`] : [];
}
