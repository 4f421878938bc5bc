/** An attempt to end an agent that fails: who asks is told when nothing of it is under way any more, and the receipt has what the attempts found. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { deferred } from "../../src/contract/deferred.ts";
import { kill_agent, kill_tree } from "../../src/daemon/kill.ts";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { fixture } from "../support/supervisor.ts";

const OPTIONS = { reason: "the test is over", cleanup: "delete" as const, grace_ms: 0 };
const no_descriptor = () => Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });

let one: InProcess;
let agent: AgentRecord;
/** What happened, in its order. */
let order: string[];
beforeEach(async () => {
  one = await start_in_process({});
  const { id } = await one.supervisor.deploy({ command: [fixture("idles")] });
  agent = one.daemon.services.registry.find(id);
  order = [];
});
afterEach(() => one.dispose());

const kill = () =>
  kill_agent(one.daemon.services, agent, OPTIONS).catch((error) => {
    order.push(`told: ${error.message}`);
  });

/** What follows an event by itself, without anything from outside, has happened. */
async function after(event: Promise<unknown>): Promise<void> {
  await event;
  await turn();
}

/** The next attempt cannot see the host off; resolves when that has failed. */
function fail_release(): Promise<void> {
  const failed = deferred();
  const link = one.daemon.services.hosts.get(agent.id);
  if (!link) throw new Error("the agent's host is not connected");
  const close = link.close.bind(link);
  link.close = () => {
    link.close = close;
    failed.resolve();
    throw no_descriptor();
  };
  return failed.promise;
}

/** Before tmux answers for a session this is done, and it answers so; null: as it does. */
function answer_of_tmux(answer: () => Promise<boolean | null>): void {
  const { panes } = one.daemon.services;
  const end = panes.end.bind(panes);
  panes.end = async (session) => (await answer()) ?? end(session);
}

test("the session is waited for when the host could not be seen off, and of it the receipt says what is true in the end", async () => {
  const failed = fail_release();
  let attempts = 0;
  answer_of_tmux(async () => {
    if (++attempts > 1) return null;
    await after(failed);
    order.push("tmux did not answer");
    return false;
  });
  await kill();
  expect(order).toEqual(["tmux did not answer", "told: EMFILE: too many open files"]);
  const receipt = await kill_agent(one.daemon.services, agent, OPTIONS);
  expect(receipt).toMatchObject({ success: true, session_killed: true, notes: [] });
});

test("what tmux did not do is said once, however many attempts there were", async () => {
  void fail_release();
  answer_of_tmux(async () => false);
  await kill();
  expect(order).toHaveLength(1);
  const receipt = await kill_agent(one.daemon.services, agent, OPTIONS);
  expect(receipt.notes).toEqual([`tmux did not answer; the session ${agent.tmux_session} is ended when it does`]);
});

test("a look for holders is waited for when its step could not be recorded", async () => {
  const { registry, verifier } = one.daemon.services;
  const failed = deferred();
  const update = registry.update.bind(registry);
  registry.update = async (...args) => {
    if (args[1].cleanup_state !== "verifying") return update(...args);
    registry.update = update;
    failed.resolve();
    throw no_descriptor();
  };
  const verify = verifier.verify.bind(verifier);
  verifier.verify = async (...args) => {
    verifier.verify = verify;
    await after(failed.promise);
    order.push("looked");
    return verify(...args);
  };
  await kill();
  expect(order).toEqual(["looked", "told: EMFILE: too many open files"]);
  expect(await kill_agent(one.daemon.services, agent, OPTIONS)).toMatchObject({ success: true });
});

test("who kills a tree is told when the ends of its other agents are over too, and until then none of it gets a child", async () => {
  const { services } = one.daemon;
  const { id } = await one.supervisor.deploy({ command: [fixture("idles")], parent: agent.id });
  const child = services.registry.find(id);
  const failed = fail_release();
  const session = child.tmux_session;
  const { panes } = services;
  const end = panes.end.bind(panes);
  panes.end = async (name) => {
    if (name === session) {
      await after(failed);
      order.push(`the child ends, ${services.doomed.has(agent.id) ? "and its parent gets no other" : "alone"}`);
    }
    return end(name);
  };
  await kill_tree(services, agent, OPTIONS).catch((error) => order.push(`told: ${error.message}`));
  expect(order).toEqual(["the child ends, and its parent gets no other", "told: EMFILE: too many open files"]);
  expect(child.receipt).toMatchObject({ success: true });
  await kill_agent(services, agent, OPTIONS);
});
