import type { Handler } from "../handler.ts";
import { running } from "../running.ts";

export const attach: Handler<"attach"> = async (services, { params }) => {
  const agent = running(services, params.agent);
  return { command: ["tmux", "-u", "-S", services.tmux.socket, "attach-session", "-t", `=${agent.tmux_session}`] };
};
