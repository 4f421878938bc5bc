/** A host that does not answer, because it is stopped. */
import { execFileSync } from "node:child_process";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive, process_ref_of, read_process } from "../../src/drivers/procfs.ts";
import { eventually, type TestSupervisor } from "./supervisor.ts";

/** Kills the daemon, and stops a host while no supervisor runs. Without a tmux server, because tmux continues whatever stops in its panes. */
export async function stop_host(supervisor: TestSupervisor, pid: number): Promise<void> {
  const { tmux_socket } = await supervisor.client.call("health");
  await supervisor.signal_daemon("SIGKILL");
  const server = execFileSync("tmux", ["-S", tmux_socket, "display-message", "-p", "#{pid}"], { encoding: "utf8" });
  const known = process_ref_of(Number(server)) as ProcessRef;
  process.kill(known.pid, "SIGKILL");
  // Its end hangs up the panes, which continues whoever is stopped in them: the stop must come afterwards.
  await eventually("the tmux server to be gone", () => !is_alive(known));
  process.kill(pid, "SIGSTOP");
  await eventually("the host to be stopped", () => read_process(pid)?.state === "T");
}
