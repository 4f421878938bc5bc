import { expect, test } from "vitest";
import { deferred } from "../../src/contract/deferred.ts";
import { Lane, no_answer, within } from "../../src/daemon/patience.ts";

test("a call that is not answered is told of at its deadline, by path, and goes on", async () => {
  const work = deferred<string>();
  const waited = within(work.promise, () => no_answer("/mnt/dead", "nothing was started"), 20);
  await expect(waited).rejects.toMatchObject({
    code: "timeout",
    message: expect.stringMatching(/^\/mnt\/dead: the file system has not answered .*; nothing was started$/),
  });
  work.resolve("late");
  expect(await work.promise).toBe("late");
});

test("a failure that comes after its deadline is nobody's, and no unhandled rejection", async () => {
  let fail: (error: Error) => void = () => undefined;
  const work = new Promise<void>((_resolve, reject) => {
    fail = reject;
  });
  await expect(within(work, () => no_answer("/x", ""), 5)).rejects.toMatchObject({ code: "timeout" });
  fail(new Error("EIO"));
  await expect(work).rejects.toThrow("EIO");
});

test("calls to one place are few at a time, in their order, also after one that failed", async () => {
  const lane = new Lane(2);
  const begun: number[] = [];
  const gates = [0, 1, 2, 3].map(() => deferred<void>());
  const calls = gates.map((gate, index) =>
    lane.in_turn(async () => {
      begun.push(index);
      await gate.promise;
      if (index === 0) throw new Error("EIO");
    }),
  );
  const [first] = calls;
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  gates[0]?.resolve();
  await expect(first).rejects.toThrow("EIO");
  await expect.poll(() => begun).toEqual([0, 1, 2]);
  for (const gate of gates) gate.resolve();
  await Promise.all(calls.slice(1));
  expect(begun).toEqual([0, 1, 2, 3]);
  expect(lane.stuck).toBe(false);
});

test("a place in a lane goes to the one that waits for it, also when another comes in the turns between", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const lane = new Lane(1);
    const begun: string[] = [];
    let now = 0;
    const call = (name: string, gate: Promise<void>) =>
      lane.in_turn(async () => {
        begun.push(name);
        now += 1;
        expect(now).toBe(1);
        await gate;
        now -= 1;
      });
    const [first, later] = [deferred<void>(), deferred<void>()];
    const calls = [call("first", first.promise), call("waits", later.promise)];
    first.resolve();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    calls.push(call("comes", later.promise));
    later.resolve();
    await Promise.all(calls);
    expect(begun).toEqual(["first", "waits", "comes"]);
  }
});
