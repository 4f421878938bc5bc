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
  /** What the receipts in the registries add up to, those of daemons before this one too; not those that have left for a journal. */
  receipts: z.object({
    agents: z.int(),
    clear: z.int(),
    deferred: z.int(),
    failed: z.int(),
    bytes_logged: z.int(),
    bytes_freed: z.int(),
  }),
});
export type MetricsAnswer = z.infer<typeof metrics_answer>;
