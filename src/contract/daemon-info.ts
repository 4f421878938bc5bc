import { z } from "zod";

/** `daemon.json` in the workspace: who serves it, or served it last. How clients find the socket. */
export const daemon_info = z.object({
  pid: z.int(),
  start_time: z.int(),
  boot_id: z.string(),
  /** The pid namespace (`pid:[4026531836]`): in another one the pid is another process's. Older daemons did not write it. */
  pid_namespace: z.string().default(""),
  /** For people: which machine to look at. Never what is decided by: host names change. */
  hostname: z.string(),
  socket: z.string(),
  runtime_dir: z.string(),
  version: z.string(),
});
export type DaemonInfo = z.infer<typeof daemon_info>;
