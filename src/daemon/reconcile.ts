/**
 * What a daemon that starts finds, against what the registry remembers: running agents are adopted, half-done ends are gone on with,
 * agents whose host is gone are ended as lost (or by the exit record the host left), and hosts that no registry knows are taken in.
 */

import { setTimeout as delay } from "node:timers/promises";
import { is_foreign } from "../contract/agent.ts";
import { ignore_abort } from "../contract/errors.ts";
import { boot_id } from "../drivers/procfs.ts";
import { is_unfinished } from "./ending/end.ts";
import { begin_end } from "./hosts.ts";
import type { Services } from "./services.ts";
import { take_in_unknown_hosts } from "./unknown-hosts.ts";

/** How long the start waits for hosts that do not answer, in ms. A hundred living ones answer in less; the search for the others goes on. */
const BOOT_PATIENCE_MS = 1_500;

/**
 * Takes every unfinished agent up again. Resolves when it is known of each what became of it, or when those that are left do not answer; ends are
 * not waited for. `boot_before` is the boot in which the last daemon served, null when nobody knows. Answers how many agents run on.
 */
export async function reconcile(services: Services, boot_before: string | null): Promise<number> {
  const { registry } = services;
  const enough = new AbortController();
  const patience = delay(BOOT_PATIENCE_MS, undefined, { signal: enough.signal }).catch(ignore_abort);
  await Promise.race([take_in_unknown_hosts(services), patience]);
  // Those that wait have no host to look for; the queue takes them up.
  const unfinished = registry
    .agents()
    .filter((agent) => !is_foreign(agent) && is_unfinished(agent) && agent.status !== "queued");
  const restarted = boot_before !== null && boot_before !== boot_id();
  const searches = unfinished.map((agent) => {
    // Its host was never noted, so that only the last daemon's boot tells: no host of another boot can come any more.
    if (!agent.host && restarted) return begin_end(services, agent, "host_lost", "the machine was restarted");
    return services.find_host(agent);
  });
  await Promise.race([Promise.all(searches), patience]);
  enough.abort();
  return unfinished.filter((agent) => services.hosts.has(agent.id) && !services.ends.has(agent.id)).length;
}
