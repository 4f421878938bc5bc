/** Streams that go on: who follows knows at once that it does, also where nothing happens. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type InProcess, start_in_process } from "../support/in-process.ts";
import { eventually } from "../support/supervisor.ts";

let one: InProcess;
beforeEach(async () => {
  one = await start_in_process({});
});
afterEach(() => one.dispose());

test("the answer to who follows events begins before there is an event, and then has every one", async () => {
  const { events } = one.daemon.services;
  const stream = await one.client.stream("events", { query: { follow: true } });
  expect(events.recent()).toEqual([]);
  expect(stream.headers["content-type"]).toBe("application/x-ndjson");
  let seen = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
  });
  for (const message of ["one", "two"]) events.emit({ type: "warning", agent_id: null, message });
  await eventually("both events", () => seen.split("\n").length === 3);
  stream.destroy();
});

test.each(["text", "jsonl", "parsed"] as const)(
  "the answer to who follows a log begins before the agent prints anything (--format %s), and an error keeps its status",
  async (format) => {
    const { id } = await one.supervisor.deploy({ command: ["cat"], mode: "interactive" });
    const follow = (query: object) =>
      one.client.stream("logs", { params: { agent: id }, query: { follow: true, format, ...query } });
    const streams = await Promise.all([follow({}), follow({ lines: 5 }), follow({ filter: "x", lines: 5 })]);
    for (const stream of streams) {
      expect(stream.statusCode).toBe(200);
      stream.destroy();
    }
    await expect(follow({ filter: "(" })).rejects.toMatchObject({ code: "invalid_request" });
    await expect(follow({ stream: "terminal" })).rejects.toMatchObject({ exit_code: expect.any(Number) });
  },
);
