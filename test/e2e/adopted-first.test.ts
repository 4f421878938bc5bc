/** What a supervisor that starts tells of an agent: first that it was taken up, then how it goes on. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { signal_process } from "../../src/containment/end-family.ts";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { deferred } from "../../src/contract/deferred.ts";
import type { HostEvent, HostFacts } from "../../src/contract/host-protocol.ts";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { HostLink } from "../../src/daemon/host-link.ts";
import { Registry } from "../../src/daemon/registry/registry.ts";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { eventually, type TestSupervisor } from "../support/supervisor.ts";

let one: InProcess;
let supervisor: TestSupervisor;
beforeEach(async () => {
  one = await start_in_process({});
  ({ supervisor } = one);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await one.dispose();
});

/** It ends when it is told to. */
async function mortal(): Promise<{ agent: AgentRecord; end: () => void }> {
  const agent = await supervisor.deploy({
    command: ["sh", "-c", "echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 3"],
  });
  await supervisor.printed(agent, "ready");
  return { agent, end: () => writeFileSync(join(supervisor.root, "go"), "") };
}

/** The next supervisor's first `hello` to a host: `then` is done when the host has answered, before the supervisor hears the answer. */
function when_greeted(then: (link: HostLink, facts: HostFacts) => Promise<HostFacts>): void {
  const { hello } = HostLink.prototype;
  const spy = vi.spyOn(HostLink.prototype, "hello").mockImplementation(async function (this: HostLink, ...args) {
    spy.mockRestore();
    return then(this, await hello.apply(this, args));
  });
}

/** A launch takes milliseconds: it is told as if it had been under way until now, and the supervisor had died meanwhile. */
function record_as_deploying(agent: AgentRecord): void {
  const registry = join(supervisor.workspace, agent.task_id as string, "AGENT_REGISTRY.json");
  const data = JSON.parse(readFileSync(registry, "utf8"));
  Object.assign(data.agents[0], { status: "deploying", process: null });
  writeFileSync(registry, JSON.stringify(data));
}

function say_launched(link: HostLink, facts: HostFacts): void {
  const { hear } = link as unknown as { hear(event: HostEvent): void };
  hear.call(link, { event: "launched", process: facts.process as ProcessRef });
}

async function told_of({ id }: AgentRecord): Promise<{ types: string[]; adopted: string[] }> {
  await one.client.call("wait", { params: { agent: id } });
  const events = one.daemon.services.events.recent().filter((event) => event.agent_id === id);
  const adopted = events.filter((event) => event.type === "agent_adopted");
  return { types: events.map((event) => event.type), adopted: adopted.map((event) => event.message) };
}

const LIFE = ["agent_adopted", "agent_exited", "agent_ending", "agent_ended"];

test("an agent that exits while it is being taken up was taken up before it exited", async () => {
  const { agent, end } = await mortal();
  await one.stop();
  when_greeted(async (link, facts) => {
    expect(facts.phase).toBe("running");
    end();
    // After its exit, on the same connection.
    await link.closed;
    return facts;
  });
  await one.start();
  expect(await told_of(agent)).toEqual({
    types: LIFE,
    adopted: ["the supervisor took the agent up again; it runs on"],
  });
});

test("an agent whose host had begun its end while no supervisor ran was taken up before it exited", async () => {
  const agent = await supervisor.deploy({
    command: ["sh", "-c", "trap 'echo ignored' TERM; echo ready; while :; do sleep 0.02; done"],
    grace_ms: 60_000,
  });
  await supervisor.printed(agent, "ready");
  await one.stop();
  signal_process(agent.host as ProcessRef, "SIGTERM");
  await supervisor.printed(agent, "ignored");
  await one.start();
  await one.client.call("kill", { params: { agent: agent.id }, body: { grace_ms: 0 } });
  expect(await told_of(agent)).toEqual({
    types: ["agent_adopted", "agent_ending", "agent_exited", "agent_ended"],
    adopted: ["the supervisor took the agent up again; its end goes on"],
  });
});

test("an agent whose launch ends while it is being taken up was taken up before it was started", async () => {
  const { agent, end } = await mortal();
  await one.stop();
  record_as_deploying(agent);
  when_greeted(async (link, facts) => {
    say_launched(link, facts);
    end();
    await link.closed;
    return { ...facts, phase: "launching", process: null };
  });
  await one.start();
  expect(await told_of(agent)).toEqual({
    types: ["agent_adopted", "agent_started", ...LIFE.slice(1)],
    adopted: ["the supervisor took the agent up again; it is being launched"],
  });
});

test("a spare host is made when a launch that was taken up is over, as after a deploy", async () => {
  const { agent, end } = await mortal();
  await one.stop();
  record_as_deploying(agent);
  writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ spare_hosts: 1 }));
  let launched = () => {};
  when_greeted(async (link, facts) => {
    launched = () => say_launched(link, facts);
    return { ...facts, phase: "launching", process: null };
  });
  await one.start();
  expect(one.daemon.services.deploys.size).toBe(1);
  launched();
  await supervisor.spare();
  end();
  await told_of(agent);
});

test("an agent that no registry knew is taken up also when that takes longer than the start", async () => {
  const { agent, end } = await mortal();
  await one.stop();
  // With the files that tell of it.
  rmSync(join(supervisor.workspace, agent.task_id as string), { recursive: true });
  const { restore_task } = Registry.prototype;
  const started = deferred();
  vi.spyOn(Registry.prototype, "restore_task").mockImplementation(async function (this: Registry, id) {
    await started.promise;
    return restore_task.call(this, id);
  });
  await one.start();
  started.resolve();
  await eventually("the agent to be taken up", async () => {
    const found = await one.client.call("get_agent", { params: { agent: agent.id } }).catch(() => null);
    return found?.status === "running" && found.host_state === "connected";
  });
  end();
  // The log that was removed is missed.
  expect((await told_of(agent)).types).toEqual(["warning", ...LIFE]);
});
