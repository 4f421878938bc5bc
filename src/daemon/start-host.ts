/**
 * Starts a host in a tmux session of its own and connects to it. The host outlives the daemon; when it ends before it is ready, or is not ready in
 * time, what it said on stderr is in the error.
 */
import { rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { signal_process } from "../containment/end-family.ts";
import type { HostEvent } from "../contract/host-protocol.ts";
import { host_socket, host_stderr } from "../contract/paths.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { arguments_of, is_alive, process_ref_of } from "../drivers/procfs.ts";
import { new_session } from "../drivers/tmux.ts";
import { armed_crash } from "../faults/crash-point.ts";
import { await_host } from "./await-host.ts";
import type { HostLink } from "./host-link.ts";
import type { Services } from "./services.ts";

/** The host beside this file's bundle. */
export const HOST_PROGRAM = fileURLToPath(new URL("../agent-host.js", import.meta.url));

/** How long a host that was killed, or whose session was ended, may take to be gone, and how often is looked: nobody tells of the death of another's child. In ms. */
const LEAVE_MS = 1_000;
const LOOK_MS = 5;

export interface HostStart {
  /** The agent's id, or that of a spare. */
  id: string;
  session: string;
  spare: boolean;
  on_event(event: HostEvent): void;
  /** The session is there, the host not yet. */
  on_session?(): void;
}

export async function start_host(services: Services, start: HostStart): Promise<HostLink> {
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
    "--no-warnings",
    services.host_program,
    start.id,
    socket,
    services.tmux.socket,
    ...(start.spare ? ["spare"] : []),
    ...crash_argument(),
  ]);
  start.on_session?.();
  const host = process_ref_of(pane_pid);
  try {
    const link = await await_host(services, start, { socket, pane_pid, stderr });
    link.process = host;
    return link;
  } catch (error) {
    // It has no agent yet. One that hangs would not leave with its pane.
    if (host && arguments_of(host.pid).includes(socket)) await kill_host(host);
    throw error;
  }
}

/** Waits for a host without an agent, whose session was ended, to leave; one that hangs does not leave by itself, and is killed. */
export async function see_host_off(host: ProcessRef): Promise<void> {
  if (!(await gone_in_time(host))) await kill_host(host);
}

/** Killed by pid and start time. Resolves when it is gone, or after the deadline: one that the kernel holds is left to the kernel. */
async function kill_host(host: ProcessRef): Promise<void> {
  if (signal_process(host, "SIGKILL")) await gone_in_time(host);
}

async function gone_in_time(host: ProcessRef): Promise<boolean> {
  const deadline = performance.now() + LEAVE_MS;
  while (is_alive(host) && performance.now() < deadline) await delay(LOOK_MS);
  return !is_alive(host);
}

/** A host reads no environment: a crash point that is armed here is handed on as an argument. Nothing in use. */
function crash_argument(): string[] {
  const crash = armed_crash();
  return crash ? [`${crash.at}:${crash.mark}`] : [];
}
