/**
 * The config file's schema. Every key has a description, which docs/config.md repeats (a test holds the two together). A new part is
 * one key here, with a strict object and defaults of its own; the daemon has it in `services.config`.
 */
import { z } from "zod";
import { PROFILE_NAME_PATTERN, profile_settings } from "./profile.ts";

export const supervisor_config = z.strictObject({
  profiles: z
    .record(
      z.string().regex(PROFILE_NAME_PATTERN, "must be 1 to 64 letters, digits, '.', '_' or '-'"),
      profile_settings,
    )
    .default({})
    .describe("profiles by name: new ones, and changes to shipped ones"),
});
export type SupervisorConfig = z.infer<typeof supervisor_config>;

/** Where a config file may be: `<dir>/<name>.json`, `.yaml` or `.yml`, at most one of them. */
export interface ConfigPlace {
  dir: string;
  name: string;
}
