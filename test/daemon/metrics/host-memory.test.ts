import { expect, test } from "vitest";
import type { ProcessRef } from "../../../src/contract/receipt.ts";
import { HostMemory } from "../../../src/daemon/metrics/host-memory.ts";
import { process_ref_of } from "../../../src/drivers/procfs.ts";
import { eventually } from "../../support/supervisor.ts";

const hosts = Array.from({ length: 400 }, (_, index) => ({ pid: index + 2, start_time: 1 }));

test("the memory of 400 hosts is read in turns: each round keeps to its time, and nobody is left out for ever", async () => {
  let now = 0;
  const read: number[] = [];
  const slow = async ({ pid }: ProcessRef) => {
    now += 0.5;
    read.push(pid);
    return { rss: 2, pss: 1 };
  };
  const memory = new HostMemory(slow, () => now);
  let last = await memory.measure(hosts);
  expect(now).toBeLessThanOrEqual(41);
  expect(last).toEqual({ measured: read.length, rss: 2 * read.length, pss: read.length });
  for (let round = 0; round < 5; round++) last = await memory.measure(hosts);
  expect(last.measured).toBe(400);
  expect(new Set(read.slice(0, 400)).size).toBe(400);
  expect((await memory.measure(hosts.slice(0, 10))).measured).toBe(10);
});

test("a read that does not come back costs a round its time, and no second read is begun", async () => {
  let begun = 0;
  const memory = new HostMemory(() => {
    begun += 1;
    return new Promise(() => {});
  });
  expect(await memory.measure(hosts)).toEqual({ measured: 0, rss: 0, pss: 0 });
  expect(await memory.measure(hosts)).toEqual({ measured: 0, rss: 0, pss: 0 });
  expect(begun).toBe(1);
});

test("the kernel's figures are read, and another process with the same pid has none", async () => {
  const self = process_ref_of(process.pid) as ProcessRef;
  const memory = new HostMemory();
  // On a busy machine the read may take longer than a round.
  const told = await eventually("the read to come back", async () => {
    const found = await memory.measure([self]);
    return found.measured === 1 ? found : null;
  });
  expect(told.pss).toBeGreaterThan(1_000_000);
  expect(told.rss).toBeGreaterThanOrEqual(told.pss);
  expect((await new HostMemory().measure([{ ...self, start_time: self.start_time - 1 }])).measured).toBe(0);
});
