/** An alert: what a person should look at although nobody asked. Event, log line, and the input of the user's hook and webhook. */
import { z } from "zod";
import { config_size } from "./config-size.ts";

/**
 * Why. `cleanup_failed`, `agent_lost` and `verdict_disputed` are told once and never resolved: they are facts. The others hold until they are over.
 * `verdict_disputed`: a file was removed as free, and lsof over everything names a holder.
 * `cleanup_deferred`: files wait in trash for longer than `alerts.deferred_minutes`. `disk_low`: less free than `alerts.disk_free_bytes`.
 * `end_waiting`: an end that cannot be completed. `host_silent`: a host that the daemon cannot speak with.
 */
export const alert_cause = z.enum([
  "cleanup_failed",
  "cleanup_deferred",
  "agent_lost",
  "disk_low",
  "end_waiting",
  "host_silent",
  "verdict_disputed",
]);
export type AlertCause = z.infer<typeof alert_cause>;

export const alert = z.object({
  type: z.literal("alert"),
  state: z.enum(["firing", "resolved"]),
  cause: alert_cause,
  agent_id: z.string().nullable(),
  task_id: z.string().nullable(),
  /** What is the matter, in one line. Nothing of an agent's environment, arguments or output. */
  message: z.string(),
  /** When it began; a resolved alert has the time of its firing here. */
  since: z.string(),
  at: z.string(),
  workspace: z.string(),
});
export type Alert = z.infer<typeof alert>;

/** The config's part of it. */
export const alerts_config = z.strictObject({
  command: z
    .array(z.string().refine((text) => !text.includes("\0"), "must not contain a NUL byte"))
    .min(1)
    .optional()
    .describe("a program that is run for each alert, and its arguments; it gets the alert as JSON on stdin"),
  webhook: z
    .url({ protocol: /^https?$/, error: "must be an http or https URL" })
    // fetch refuses them, and only when it is too late.
    .refine((url) => !URL.canParse(url) || new URL(url).username + new URL(url).password === "", {
      error: "must not have a user or password in it",
    })
    .optional()
    .describe("a URL to which each alert is posted as JSON; it is never logged or shown"),
  timeout_seconds: z
    .number()
    .min(0.1)
    .max(300)
    .default(10)
    .describe("how long the program, or the answer of the webhook, may take; then it is ended and tried again"),
  retry_seconds: z
    .number()
    .min(0.01)
    .max(300)
    .default(0.5)
    .describe("the pause after a first attempt that failed; each of the next three is three times as long"),
  deferred_minutes: z
    .number()
    .min(0)
    .max(525_600)
    .default(60)
    .describe("how long files of an ended agent may wait in trash before that is an alert"),
  disk_free_bytes: config_size(z.int().min(0))
    .default(100 * 1024 * 1024)
    .describe("less free space than this on the workspace's file system is an alert; 0 for never"),
  check_seconds: z
    .number()
    .min(0.1)
    .max(3600)
    .default(30)
    .describe("how often what nobody tells of by itself is looked at (the disk, files that wait)"),
});
export type AlertsConfig = z.infer<typeof alerts_config>;
