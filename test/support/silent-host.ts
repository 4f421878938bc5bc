/** Hosts that live and do not answer while their supervisor is connected: stopped by a signal, or frozen by a control group. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { read_hierarchies } from "../../src/drivers/cgroup-hierarchies.ts";
import { read_process } from "../../src/drivers/procfs.ts";
import { eventually, type TestSupervisor } from "./supervisor.ts";

/** Where a group can be made that freezes its members (cgroup v2), or null. */
const FREEZER = find_freezer();
/** Why no process can be frozen here, or null. */
export const NO_FREEZER = FREEZER === null ? "no control group can be frozen here" : null;

function find_freezer(): string | null {
  const v2 = read_hierarchies().find((one) => one.version === 2);
  if (!v2) return null;
  const dir = join(v2.own, `supervisor-test-freezer-${process.pid}`);
  try {
    mkdirSync(dir);
    writeFileSync(join(dir, "cgroup.freeze"), "0");
    return v2.own;
  } catch {
    return null;
  } finally {
    try {
      rmdirSync(dir);
    } catch {
      // It could not be made: there is no freezer.
    }
  }
}

/** Stops a host. Its tmux server would continue it at once: so its view is on another server first, whose child it is not. */
export async function stop_connected_host(supervisor: TestSupervisor, agent: AgentRecord): Promise<ProcessRef> {
  const { tmux_socket } = await supervisor.client.call("health");
  await supervisor.shell(`tmux -S ${tmux_socket} kill-server`);
  await eventually("the agent to have a pane on another tmux server", async () =>
    (await supervisor.cli(["events"])).stdout.includes('"pane_restored"'),
  );
  const { host } = await supervisor.client.call("get_agent", { params: { agent: agent.id } });
  process.kill((host as ProcessRef).pid, "SIGSTOP");
  await eventually("the host to be stopped", () => read_process((host as ProcessRef).pid)?.state === "T");
  return host as ProcessRef;
}

/** Freezes one process in a control group of its own; the result thaws it. The group is removed at the test's end. */
export async function freeze(supervisor: TestSupervisor, pid: number): Promise<() => void> {
  const dir = join(FREEZER as string, `supervisor-test-freezer-${pid}`);
  mkdirSync(dir);
  const thaw = () => writeFileSync(join(dir, "cgroup.freeze"), "0");
  supervisor.at_end.push(async () => {
    thaw();
    await eventually("the frozen group to be empty", () => {
      try {
        rmdirSync(dir);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
        return false;
      }
    });
  });
  writeFileSync(join(dir, "cgroup.procs"), String(pid));
  writeFileSync(join(dir, "cgroup.freeze"), "1");
  await eventually("the group to be frozen", () => /frozen 1/.test(readFileSync(join(dir, "cgroup.events"), "utf8")));
  return thaw;
}
