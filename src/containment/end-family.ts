/**
 * Ends every process of an agent: a signal, a grace period, then KILL, until nobody is left or the deadline passes.
 * Run by the host for its own agent, and by the daemon for an agent whose host is gone. Where the agent has a control group, the
 * kernel kills all of it at once, and says when it is empty; without one, looking again and again must do.
 */
import { setTimeout as delay } from "node:timers/promises";
import { deferred } from "../contract/deferred.ts";
import { ignore_abort, is_errno } from "../contract/errors.ts";
import { monotonic_ms } from "../contract/monotonic.ts";
import type { NamedProcess, SentSignal } from "../contract/receipt.ts";
import { freeze_group, group_members, is_populated, kill_group, watch_group } from "../drivers/cgroup.ts";
import { is_alive, type ProcessFacts, read_process } from "../drivers/procfs.ts";
import { type Patience, when_possible } from "../drivers/when-possible.ts";
import { type FamilySpec, find_family, is_stranger } from "./family.ts";

/** How long to look on after KILL before the rest are called survivors, in ms. KILL is not refused; only a process in
 * uninterruptible sleep (a dead network file system) outlives it, and that can last for ever. */
const KILL_DEADLINE_MS = 5_000;

/** Without a control group the kernel tells nobody but the parent of an exit, so the family is looked at again and again: first often, because
 * most agents obey within milliseconds, then seldom. In ms. */
const FIRST_LOOK_MS = 2;
const LAST_LOOK_MS = 100;

export interface EndFamilyOptions {
  signal: NodeJS.Signals;
  grace_ms: number;
  /** Resolves when something happened that makes another look worthwhile (the leader's exit). May never resolve. */
  nudge?: Promise<unknown>;
  /** Aborted when the grace is cut short: KILL now. */
  hurry?: AbortSignal;
  /** Given by whoever waits when no descriptor is free to look at anybody, instead of failing: a host, whose end nobody would begin again. */
  patience?: Patience;
}

export interface EndFamilyResult {
  signals: SentSignal[];
  processes_ended: NamedProcess[];
  survivors: NamedProcess[];
  /** What has no field: a control group that is not empty though nobody can be named. */
  notes: string[];
  /** ms until the first look that found nobody who had not been sent KILL, and from there to the end. */
  stop_ms: number;
  empty_ms: number;
}

const named = ({ pid, start_time, comm }: ProcessFacts): NamedProcess => ({ pid, start_time, command: comm });
const key = (one: { pid: number; start_time: number }) => `${one.pid}:${one.start_time}`;

/** Ends the family. Never throws for a process that went away or may not be signalled: those are found, or not, by looking. */
export async function end_family(spec: FamilySpec, options: EndFamilyOptions): Promise<EndFamilyResult> {
  const began = monotonic_ms();
  const seen = new Map<string, NamedProcess>();
  const signals: SentSignal[] = [];
  const asked = new Set<string>();
  const groups = spec.cgroups ?? [];

  const possible = <T>(work: () => T): Promise<T> =>
    options.patience ? when_possible(work, options.patience) : (async () => work())();
  const tell = (one: ProcessFacts, signal: NodeJS.Signals) => possible(() => signal_process(one, signal));
  const send = async (members: ProcessFacts[], signal: NodeJS.Signals) => {
    const reached: ProcessFacts[] = [];
    for (const one of members) if (await tell(one, signal)) reached.push(one);
    if (reached.length > 0) signals.push({ signal, at: new Date().toISOString(), pids: reached.map((one) => one.pid) });
  };
  const look = async () => {
    const members = await possible(() => find_family(spec));
    for (const one of members) seen.set(key(one), named(one));
    return members;
  };

  // A promise that has been kept would make every later race end at once.
  let nudge = options.nudge;
  const nudged = nudge?.then(() => {
    nudge = undefined;
  });
  let changed = deferred();
  const watchers = groups.map((dir) =>
    watch_group(dir, () => {
      changed.resolve();
      changed = deferred();
    }),
  );
  const rest = (ms: number, hurry?: AbortSignal) =>
    pause_until(ms, [changed.promise, ...(nudge && nudged ? [nudged] : [])], hurry);

  try {
    // Who was frozen by somebody could not obey.
    for (const dir of groups) await possible(() => freeze_group(dir, false));
    let members = await look();
    const grace_ends = began + options.grace_ms;
    let pause = FIRST_LOOK_MS;
    while (members.length > 0 && monotonic_ms() < grace_ends && !options.hurry?.aborted) {
      // What appears after the first signal is mostly what a handler runs in order to end well: it is asked only when nobody
      // who was asked is left.
      const working = members.some((one) => asked.has(key(one)));
      const fresh = working ? [] : members;
      await send(fresh, options.signal);
      // A stopped process (Ctrl-Z, SIGSTOP) would not see the signal before it is continued.
      for (const one of members) if (one.state === "T" || one.state === "t") await tell(one, "SIGCONT");
      for (const one of fresh) asked.add(key(one));
      await rest(Math.min(pause, Math.max(0, grace_ends - monotonic_ms())), options.hurry);
      pause = Math.min(pause * 2, LAST_LOOK_MS);
      // A look at everybody costs 2 ms and more, and asks nobody as long as one who was asked works: at first only those are looked at.
      const known = pause < LAST_LOOK_MS ? await possible(() => still_there(members)) : [];
      members = known.some((one) => asked.has(key(one))) ? known : await look();
    }
    const stopped = monotonic_ms();

    // KILL again on every look: a fork may have slipped between the look and the signal.
    const kill_ends = stopped + KILL_DEADLINE_MS;
    const killed = new Set<string>();
    const unseen = () => possible(() => groups.some((dir) => is_populated(dir) && !holds_strangers(spec, dir)));
    pause = FIRST_LOOK_MS;
    while ((members.length > 0 || (await unseen())) && monotonic_ms() < kill_ends) {
      const fresh = members.filter((one) => !killed.has(key(one)));
      await send(fresh, "SIGKILL");
      for (const one of fresh) killed.add(key(one));
      for (const dir of groups) await possible(() => kill_whole_group(spec, dir));
      await rest(pause);
      pause = Math.min(pause * 2, LAST_LOOK_MS);
      members = await look();
    }
    const left = new Set(members.map(key));
    return {
      signals,
      processes_ended: [...seen.values()].filter((one) => !left.has(key(one))),
      survivors: members.map(named),
      notes: members.length === 0 ? await possible(() => groups.flatMap((dir) => why_not_empty(spec, dir))) : [],
      stop_ms: stopped - began,
      empty_ms: monotonic_ms() - stopped,
    };
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}

/** Those of the members that still live, as they are now. */
function still_there(members: readonly ProcessFacts[]): ProcessFacts[] {
  const now = members.map((one) => ({ before: one, facts: read_process(one.pid) }));
  return now.flatMap(({ before, facts }) =>
    facts && key(facts) === key(before) && facts.state !== "Z" && facts.state !== "X" ? [facts] : [],
  );
}

/** True when somebody is in the group who is not the agent's: then its members are killed one by one, and not as a whole. */
function holds_strangers(spec: FamilySpec, dir: string): boolean {
  return group_members(dir).some((one) => is_stranger(spec, one));
}

/** Kills all of the group at once. A kernel without cgroup.kill freezes it, so that nobody forks while they are killed one by one. */
export function kill_whole_group(spec: FamilySpec, dir: string, kill = kill_group): void {
  if (holds_strangers(spec, dir) || kill(dir) || !freeze_group(dir, true)) return;
  try {
    for (const one of group_members(dir)) signal_process(one, "SIGKILL");
  } finally {
    freeze_group(dir, false);
  }
}

function why_not_empty(spec: FamilySpec, dir: string): string[] {
  if (!is_populated(dir)) return [];
  const strangers = group_members(dir).filter((one) => is_stranger(spec, one));
  const who = strangers.map((one) => `${one.comm} (${one.pid})`).join(", ");
  return [
    strangers.length > 0
      ? `the control group ${dir} was left: ${who} was moved into it, is not the agent's, and was not touched`
      : `the control group ${dir} is not empty, and who is in it cannot be seen from here`,
  ];
}

/**
 * Sends a signal to exactly this process. The start time is read again just before, which leaves the time between two
 * system calls for the pid to be given away; Node has no pidfd_send_signal(2).
 */
export function signal_process(one: { pid: number; start_time: number }, signal: NodeJS.Signals): boolean {
  if (one.pid <= 1 || !is_alive(one)) return false;
  try {
    return process.kill(one.pid, signal);
  } catch (error) {
    if (is_errno(error, "ESRCH", "EPERM")) return false;
    throw error;
  }
}

async function pause_until(ms: number, nudges: Promise<void>[], hurry?: AbortSignal): Promise<void> {
  const timer = new AbortController();
  const waits = [delay(ms, undefined, { signal: timer.signal }).catch(ignore_abort), ...nudges];
  hurry?.addEventListener("abort", () => timer.abort(), { once: true, signal: timer.signal });
  await Promise.race(waits);
  timer.abort();
}
