/** What readers of the events are told of an agent, and in which order. */
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deferred } from "../../src/contract/deferred.ts";
import { is_errno, SupervisorError } from "../../src/contract/errors.ts";
import type { SupervisorEvent } from "../../src/contract/operations/supervisor.ts";
import type { Registry } from "../../src/daemon/registry/registry.ts";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { eventually, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

/** The life of an agent that was started and ended by itself. */
const LIFE = ["agent_started", "agent_exited", "agent_ending", "agent_ended"];

/** Follows the events. `seen` grows until the daemon closes the stream. */
async function follow(supervisor: TestSupervisor): Promise<{ seen: SupervisorEvent[]; closed: Promise<void> }> {
  const seen: SupervisorEvent[] = [];
  const stream = await supervisor.client.stream("events", { query: { follow: true } });
  const lines = createInterface({ input: stream }).on("line", (line) => seen.push(JSON.parse(line)));
  // A daemon that stops hangs up on who follows; the reader of lines says that once more.
  for (const one of [stream, lines])
    one.on("error", (error: Error) => {
      if (!is_errno(error, "ECONNRESET")) throw error;
    });
  const closed = new Promise<void>((resolve) => stream.once("close", resolve));
  return { seen, closed };
}

const types_of = (events: SupervisorEvent[], agent_id: string) =>
  events.filter((one) => one.agent_id === agent_id).map((one) => one.type);

describe("of agents that end at once", () => {
  let supervisor: TestSupervisor;
  beforeEach(async () => {
    supervisor = await TestSupervisor.start();
  });
  afterEach(() => supervisor.dispose());

  test("the start is told before the exit, to who follows and to who comes late", async () => {
    await supervisor.deploy({ command: ["true"] });
    const { seen } = await follow(supervisor);
    const ids: string[] = [];
    for (let round = 0; round < 5; round++) {
      const agents = await Promise.all([1, 2, 3].map(() => supervisor.deploy({ command: ["true"] })));
      ids.push(...agents.map((one) => one.id));
      await Promise.all(ids.slice(-3).map((agent) => supervisor.client.call("wait", { params: { agent } })));
    }
    await eventually("the last end to be told", () => ids.every((id) => types_of(seen, id).includes("agent_ended")));
    const late = (await supervisor.cli(["events"])).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    for (const events of [seen, late]) expect(ids.map((id) => types_of(events, id))).toEqual(ids.map(() => LIFE));
    expect(late.map((one) => one.at)).toEqual(late.map((one) => one.at).toSorted());
  });
});

describe("of a deploy whose record is held up while the agent ends", () => {
  let one: InProcess;
  beforeEach(async () => {
    one = await start_in_process({});
    one.daemon.services.events.emit({ type: "warning", agent_id: null, message: "the test begins" });
  });
  let let_go: (error?: Error) => void;
  afterEach(async () => {
    let_go();
    await one.dispose();
  });

  /** The record that the agent runs waits until it is let go, when its host has said that the agent ended. */
  function hold_record(): Promise<void> {
    const { registry, hosts } = one.daemon.services;
    const exited = deferred();
    const go = deferred<Error | undefined>();
    let_go = go.resolve;
    const advance = registry.advance.bind(registry);
    registry.advance = async (...args: Parameters<Registry["advance"]>) => {
      const [agent, event] = args;
      if (event.type === "launched") {
        void hosts.get(agent.id)?.closed.then(() => exited.resolve());
        const error = await go.promise;
        if (error) throw error;
      }
      return advance(...args);
    };
    return exited.promise;
  }

  test("nothing is told before it is recorded, and then everything in order", async () => {
    const { seen } = await follow(one.supervisor);
    const exited = hold_record();
    const deploying = one.supervisor.deploy({ command: ["true"] });
    await exited;
    expect(seen.map((event) => event.type)).toEqual(["warning"]);
    let_go();
    const { id } = await deploying;
    await eventually("its end to be told", () => types_of(seen, id).includes("agent_ended"));
    expect(types_of(seen, id)).toEqual(LIFE);
  });

  test("an agent that ran is told of all the same when the record fails", async () => {
    const { seen } = await follow(one.supervisor);
    const exited = hold_record();
    const deploying = one.supervisor.deploy({ command: ["true"] });
    await exited;
    let_go(new SupervisorError("registry_unwritable", "the disk is full"));
    await expect(deploying).rejects.toThrow("the disk is full");
    await eventually("its end to be told", () => seen.some((event) => event.type === "agent_ended"));
    expect(seen.map((event) => event.type)).toEqual(["warning", ...LIFE]);
  });

  test("a supervisor that stops meanwhile tells of the exit before it hangs up", async () => {
    const { seen, closed } = await follow(one.supervisor);
    const exited = hold_record();
    const deploying = one.supervisor.deploy({ command: ["true"] });
    await exited;
    const stopped = one.stop();
    await eventually("the stop to begin", () => one.daemon.services.stopping);
    let_go();
    const { id } = await deploying;
    await Promise.all([stopped, closed]);
    expect(types_of(seen, id)).toEqual(LIFE);
    await one.start();
  });
});
