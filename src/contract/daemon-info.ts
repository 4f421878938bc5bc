import { z } from "zod";

/** `daemon.json` in the workspace: who serves it, or served it last. How clients find the socket. */
export const daemon_info = z.object({
  pid: z.int(),
  start_time: z.int(),
  boot_id: z.string(),
  hostname: z.string(),
  socket: z.string(),
  runtime_dir: z.string(),
  version: z.string(),
});
export type DaemonInfo = z.infer<typeof daemon_info>;
