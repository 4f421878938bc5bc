/**
 * The config file's schema. Every key has a description, which docs/config.md repeats (a test holds the two together). A new part is
 * one key here, with a strict object and defaults of its own; the daemon has it in `services.config`.
 */
import { z } from "zod";
import { agent_limits } from "./agent-limits.ts";
import { alerts_config } from "./alert.ts";
import { config_size } from "./config-size.ts";
import { log_full, log_max_bytes } from "./log-limit.ts";
import { PROFILE_NAME_PATTERN, profile_settings } from "./profile.ts";

/** How long what is over is kept. Sizes in bytes. */
const retention = z.strictObject({
  days: z
    .number()
    .min(0.001)
    .max(36_500)
    .default(7)
    .describe("how many days archives and the receipts of ended agents are kept, counted from the agent's end"),
  max_bytes: config_size(z.int().min(0))
    .default(1024 ** 3)
    .describe("how many bytes all archives of the workspace may have; the oldest go first"),
  receipts_max_bytes: config_size(z.int().min(0))
    .default(64 * 1024 ** 2)
    .describe(
      "how many bytes the receipts of ended agents may have, in the journals of all tasks; the oldest go first",
    ),
  ended_in_registry: z
    .int()
    .min(0)
    .max(10_000)
    .default(20)
    .describe("how many ended agents stay in the registry of their task; the others are in its journal"),
  ended_minutes: z
    .number()
    .min(0)
    .max(525_600)
    .default(60)
    .describe("after how many minutes an ended agent leaves the registry in any case"),
});

const logs = z.strictObject({
  max_bytes: config_size(log_max_bytes.nullable())
    .default(null)
    .describe("at most so many bytes in one log file; null: no limit"),
  full: log_full
    .default("rotate")
    .describe("what happens then: `rotate` begins a new file at a line's end, `pause` makes the agent wait"),
});

export const supervisor_config = z.strictObject({
  retention: retention
    .default(() => retention.parse({}))
    .describe("how long archives, receipts and ended agents are kept: see retention.md"),
  profiles: z
    .record(
      z.string().regex(PROFILE_NAME_PATTERN, "must be 1 to 64 letters, digits, '.', '_' or '-'"),
      profile_settings,
    )
    .default({})
    .describe("profiles by name: new ones, and changes to shipped ones"),
  logs: logs.default(() => logs.parse({})).describe("how large agents' logs may grow; a deploy may say otherwise"),
  alerts: alerts_config.prefault({}).describe("who is told when something needs a person: see [alerts](alerts.md)"),
  spare_hosts: z
    .int()
    .min(0)
    .max(8)
    .default(1)
    .describe("hosts kept ready, so that a deploy need not wait for one to boot; each takes about 9 MB. 0: none"),
  limits: agent_limits.prefault({}).describe("how many agents there may be, and what must be free to begin one"),
});
export type SupervisorConfig = z.infer<typeof supervisor_config>;

/** Where a config file may be: `<dir>/<name>.json`, `.yaml` or `.yml`, at most one of them. */
export interface ConfigPlace {
  dir: string;
  name: string;
}
