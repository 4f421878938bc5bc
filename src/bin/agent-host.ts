/** The agent host's process: arguments in, exit code out. Started by tmux as `node agent-host.js AGENT_ID SOCKET TMUX_SOCKET`. */
import { run_host } from "../host/run.ts";

const [agent_id, socket, tmux_socket] = process.argv.slice(2);
if (!agent_id || !socket || !tmux_socket) {
  console.error("usage: agent-host AGENT_ID SOCKET TMUX_SOCKET (started by the supervisor, not by hand)");
  process.exit(2);
}
run_host({ agent_id, socket, tmux_socket }).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
