/** The agent host's process: arguments in, exit code out. Started by tmux as `node agent-host.cjs AGENT_ID SOCKET TMUX_SOCKET [spare PID:START_TIME]`. */
import { closeSync } from "node:fs";
import { is_errno } from "../contract/errors.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { arm, parse_crash } from "../faults/crash-point.ts";
import { run_host } from "../host/run.ts";

const [agent_id, socket, tmux_socket, ...more] = process.argv.slice(2);
const spare = more[0] === "spare";
const spare_for = spare ? daemon_of(more[1]) : null;
const crash = more[spare ? 2 : 0];
if (!agent_id || !socket || !tmux_socket) {
  console.error(
    "usage: agent-host AGENT_ID SOCKET TMUX_SOCKET [spare PID:START_TIME] (started by the supervisor, not by hand)",
  );
  process.exit(2);
}
if (crash) arm(parse_crash(crash));
run_host({ agent_id, socket, tmux_socket, spare_for }).then(
  () => leave(0),
  (error) => {
    console.error(error);
    leave(1);
  },
);

/** The daemon that a spare is for, by pid and start time. */
function daemon_of(text = ""): ProcessRef {
  const [pid, start_time] = text.split(":").map(Number);
  return { pid: pid as number, start_time: start_time as number };
}

/** At its exit Node puts the terminal back as it was, and aborts (with a core file) when that terminal has hung up (seen with Node 20.20). */
function leave(code: number): never {
  for (const fd of [0, 1, 2]) {
    try {
      closeSync(fd);
    } catch (error) {
      if (!is_errno(error, "EBADF")) throw error;
    }
  }
  process.exit(code);
}
