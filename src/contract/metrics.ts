/** Metrics as a value: what `supervisor metrics` and `get_metrics` show. */
import { z } from "zod";

const sample = z.object({
  labels: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Of a histogram: the mean, in the unit of its name. */
  value: z.number(),
  /** Of a histogram: how many were observed, and their sum. */
  count: z.number().optional(),
  sum: z.number().optional(),
});

/** What receipts add up to. */
export const receipt_sums = z.object({
  agents: z.int().nonnegative(),
  clear: z.int().nonnegative(),
  deferred: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  bytes_logged: z.int().nonnegative(),
  bytes_freed: z.int().nonnegative(),
});
export type ReceiptSums = z.infer<typeof receipt_sums>;

/** What the sweeper removed: files of ended agents whose time was up, and leftovers of nobody. */
export const swept_sums = z.object({ files: z.int().nonnegative(), bytes: z.int().nonnegative() });
export type SweptSums = z.infer<typeof swept_sums>;

export const metrics_answer = z.object({
  /** When this daemon, and with it every counter, began. */
  since: z.string(),
  metrics: z.array(
    z.object({
      name: z.string(),
      help: z.string(),
      type: z.enum(["counter", "gauge", "histogram", "summary"]),
      values: z.array(sample),
    }),
  ),
  /** What all receipts of the workspace add up to: those of daemons before this one too, in registries and journals, expired ones included. */
  receipts: receipt_sums,
  /** What the sweeper removed of the workspace in all: archives and orphans, which no receipt counts as freed. */
  swept: swept_sums,
});
export type MetricsAnswer = z.infer<typeof metrics_answer>;
