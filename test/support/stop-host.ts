/** A host that does not answer, because it is stopped. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { eventually, type TestSupervisor } from "./supervisor.ts";

/** Kills the daemon, and stops a host while no supervisor runs. Without a tmux server, because tmux continues whatever stops in its panes. */
export async function stop_host(supervisor: TestSupervisor, pid: number): Promise<void> {
  const { tmux_socket } = await supervisor.client.call("health");
  await supervisor.signal_daemon("SIGKILL");
  const server = execFileSync("tmux", ["-S", tmux_socket, "display-message", "-p", "#{pid}"], { encoding: "utf8" });
  process.kill(Number(server), "SIGKILL");
  // Its end hangs up the panes, which continues whoever is stopped in them: the stop must come afterwards.
  await eventually("the tmux server to be gone", () => {
    const stat = existsSync(`/proc/${server.trim()}/stat`) && readFileSync(`/proc/${server.trim()}/stat`, "latin1");
    return !stat || stat.includes(") Z");
  });
  process.kill(pid, "SIGSTOP");
}
