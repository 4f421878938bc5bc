import { is_ended } from "../../../contract/status.ts";
import { VERSION } from "../../version.ts";
import type { Handler } from "../handler.ts";

export const health: Handler<"health"> = async (services) => ({
  ok: true,
  pid: process.pid,
  version: VERSION,
  workspace: services.workspace,
  runtime_dir: services.runtime_dir,
  tmux_socket: services.tmux.socket,
  containment: services.containment.report,
  running: services.registry.agents().filter((agent) => !is_ended(agent.status) && agent.status !== "queued").length,
  queued: services.queue.counts().queued,
});
