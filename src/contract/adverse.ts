/** Apart from the states themselves, which are a zod schema, so that a command which asks this does not load zod. */
import type { HostState } from "./host-state.ts";

/** True when the daemon and the host do not speak to each other although they should. */
export function is_adverse(state: HostState): boolean {
  return state !== "none" && state !== "starting" && state !== "connected";
}
