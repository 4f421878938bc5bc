/**
 * The version of what daemon and host say to each other. A daemon must be able to adopt hosts that an older one started: `hello` carries
 * the version, and fields are only added. 2: a host whose tmux server died says so, and takes another pane; it
 * says `launching`, `launched` and `launch_failed`, and remembers its agent's registry entry (`record`). Apart from the schemas, so that a host does not load zod.
 */
export const HOST_PROTOCOL = 2;

/** The oldest hosts that this supervisor still adopts. 1: none of what is new in 2. */
export const OLDEST_HOST_PROTOCOL = 1;
