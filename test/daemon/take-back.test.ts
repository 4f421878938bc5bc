import pino from "pino";
import { expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import type { Services } from "../../src/daemon/services.ts";
import { take_back } from "../../src/daemon/take-back.ts";
import { eventually } from "../support/supervisor.ts";

const AGENT = { id: "agent-120000-abcdef" } as AgentRecord;

/** What of the daemon is needed, and the steps of a deploy, of which one fails as long as it is told to. */
function story(fails: { step: string; error: Error | null }) {
  const halted = new AbortController();
  let pumped = 0;
  const services = {
    halted,
    take_backs: new Map(),
    log: pino({ level: "silent" }),
    queue: { pump: () => pumped++ },
  } as unknown as Services;
  const done: string[] = [];
  const steps = ["entry", "files", "session", "host"].map((step) => async () => {
    if (fails.step === step && fails.error) throw fails.error;
    done.push(step);
  });
  return { services, done, steps, halted, pumped: () => pumped };
}

const no_descriptor = () => Object.assign(new Error("EMFILE: too many open files, open"), { code: "EMFILE" });

test("what a deploy had done is taken back last first, and the caller is told that nothing is left", async () => {
  const { services, done, steps } = story({ step: "", error: null });
  expect(await take_back(services, AGENT, steps)).toBe(null);
  expect(done).toEqual(["host", "session", "files", "entry"]);
});

test.each(["host", "session", "files", "entry"])(
  "when the %s cannot be taken back, what was done before it stays, with its entry, until it can be",
  async (step) => {
    const fails = { step, error: no_descriptor() as Error | null };
    const { services, done, steps, pumped } = story(fails);
    expect(await take_back(services, AGENT, steps)).toContain("EMFILE");
    const order = ["host", "session", "files", "entry"];
    expect(done).toEqual(order.slice(0, order.indexOf(step)));
    // A kill asks for it at once, and is told why not.
    await expect(services.take_backs.get(AGENT.id)?.join()).rejects.toThrow("EMFILE");
    fails.error = null;
    // By itself: nobody asks again.
    await eventually("it to be taken back", () => !services.take_backs.has(AGENT.id));
    expect(done).toEqual(order);
    expect(pumped()).toBe(1);
  },
);

test("a daemon that leaves does not wait for what cannot be taken back: the next one finds it", async () => {
  const { services, done, steps, halted } = story({ step: "files", error: no_descriptor() });
  await take_back(services, AGENT, steps);
  halted.abort();
  await eventually("it to be given up", () => services.take_backs.size === 0);
  expect(done).toEqual(["host", "session"]);
  expect(await take_back(services, AGENT, steps)).toContain("the supervisor is leaving");
});
