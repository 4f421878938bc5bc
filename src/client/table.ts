/**
 * What a client needs of the operations table, as plain data. scripts/build.mjs evaluates this file when the project is built and puts its values in
 * its place: a command neither loads zod nor builds the schemas (half of its time, docs/performance.md). Hence nothing but JSON here.
 */

import manifest from "../../package.json" with { type: "json" };
import { stdout_kind } from "../contract/agent.ts";
import { log_full } from "../contract/log-limit.ts";
import { log_format, response_format } from "../contract/operations/output.ts";
import { OPERATIONS, type OperationName } from "../contract/operations.ts";
import { cleanup_policy } from "../contract/receipt.ts";

export const ROUTES = Object.fromEntries(
  Object.entries(OPERATIONS).map(([name, { method, path }]) => [name, { method, path }]),
) as Record<OperationName, { method: "GET" | "POST"; path: string }>;

/** The values that options of commands may have. */
export const CHOICES = {
  log_format: log_format.options,
  response_format: response_format.options,
  cleanup_policy: cleanup_policy.options,
  stdout_kind: stdout_kind.options,
  log_full: log_full.options,
};

/** The version of this command, as its package says. */
export const VERSION: string = manifest.version;
