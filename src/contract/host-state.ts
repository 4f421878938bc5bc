import { z } from "zod";

/**
 * How the daemon stands with an agent's host. Not kept on disk: it is of this daemon and this moment.
 * `none`: there is no host to speak of (an ended agent, another program's). `starting`: it is being asked for the first time, or is
 * launching. `unresponsive`: it accepts, but does not answer. `unreachable`: it lives, but does not accept. `mistrusted`: what
 * it says cannot be so. `protocol_mismatch`: it speaks another version. In the last four the agent runs on, nothing of it is touched, and the
 * host is tried again.
 */
export const host_state = z.enum([
  "none",
  "starting",
  "connected",
  "unresponsive",
  "unreachable",
  "mistrusted",
  "protocol_mismatch",
]);
export type HostState = z.infer<typeof host_state>;
