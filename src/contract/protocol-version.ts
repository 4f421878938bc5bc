/**
 * The version of what daemon and host say to each other. A daemon must be able to adopt hosts that an older one started: `hello` carries
 * the version, and fields are only added. 2: a host whose tmux server died says so, and takes another pane. Apart from the schemas, so that a host does not load zod.
 */
export const HOST_PROTOCOL = 2;
