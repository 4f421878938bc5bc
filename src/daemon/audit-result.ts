/** What follows from an audit: it is counted; a verdict that was wrong is told as an alert, and from then on lsof over everything decides. */
import type { AuditResult } from "./audit.ts";
import type { Services } from "./services.ts";

export function heard_audit(
  { metrics, alerts, verifier, log }: Pick<Services, "metrics" | "alerts" | "verifier" | "log">,
  result: AuditResult,
): void {
  metrics.audited(result);
  if (result.failure !== null)
    log.warn({ reason: result.failure }, "verdicts could not be looked over; the next sweep tries again");
  for (const { path, agent_id, pid, command } of result.disputes)
    alerts.disputed(
      agent_id,
      `${path} was removed as free, but ${command} (pid ${pid}) has it open or mapped; its disk space is free when that ends. Until the supervisor is started anew, lsof over everything decides`,
    );
  if (result.disputes.length > 0) verifier.distrust();
}
