/** The verdicts since the last sweep are looked over, before this one removes more. It removes nothing, so that it is the same for a dry run. */
import type { Sweep } from "./sweep.ts";

export async function audited_verdicts({ services }: Sweep): Promise<void> {
  await services.audit.run();
}
