/** Calls that are given up by whoever made them, at a daemon of the test's own that answers as the test says. */
import { getEventListeners, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Client } from "../../src/client/client.ts";
import { Connection } from "../../src/mcp/connection.ts";

let dir: string;
let server: Server;
let client: Client;
let answer: RequestListener;
let given_up: AbortController;
beforeEach(async () => {
  given_up = new AbortController();
  dir = mkdtempSync(join(tmpdir(), "client-"));
  server = createServer((request, response) => answer(request, response)).listen(join(dir, "d.sock"));
  await once(server, "listening");
  client = new Client(join(dir, "d.sock"));
});
afterEach(async () => {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
  rmSync(dir, { recursive: true });
});

test.each<[string, RequestListener]>([
  ["before its answer", () => given_up.abort()],
  [
    "while it is answered",
    (_request, response) => {
      response.write('{"half":', () => given_up.abort());
    },
  ],
])(
  "a call that is aborted %s rejects with its own abort, and not with a supervisor that has gone",
  async (_when, how) => {
    answer = how;
    const error = await client.call("health", {}, { signal: given_up.signal }).catch((reason) => reason);
    expect(error).toBe(given_up.signal.reason);
    expect(error).toMatchObject({ name: "AbortError" });
  },
);

test("a call with a signal that is aborted already asks for nothing", async () => {
  let asked = 0;
  answer = () => asked++;
  await expect(client.call("health", {}, { signal: AbortSignal.abort("enough") })).rejects.toBe("enough");
  expect(asked).toBe(0);
});

test("a call that its time limit ends says so", async () => {
  answer = () => {};
  const signal = AbortSignal.timeout(20);
  await expect(client.call("health", {}, { signal })).rejects.toMatchObject({ name: "TimeoutError" });
});

test("an MCP client that gives a call up starts no supervisor by that", async () => {
  answer = () => given_up.abort();
  let starts = 0;
  const connection = new Connection({
    find: async () => client,
    start: async () => void starts++,
  });
  const { signal } = given_up;
  await expect(
    connection.use((found) => found.call("wait", { params: { agent: "a" } }, { signal }), true),
  ).rejects.toMatchObject({ name: "AbortError" });
  expect(starts).toBe(0);
});

test("calls and streams that are over leave nothing on the signal of whoever made them", async () => {
  answer = (_request, response) => response.end("{}");
  const { signal } = given_up;
  const call_often = async () => {
    for (let n = 0; n < 10; n++) {
      await client.call("health", {}, { signal });
      const stream = await client.stream("events", {}, { signal });
      const closed = once(stream, "close");
      await text(stream);
      await closed;
    }
  };
  await call_often();
  const before = kept_by(signal);
  await call_often();
  expect(kept_by(signal)).toEqual(before);
});

/** What hangs on a signal: its listeners, and the signals that were made of it, which Node keeps in a set of its own (20.20) that nothing leaves. */
function kept_by(signal: AbortSignal): Record<string, number> {
  const symbols = Object.getOwnPropertySymbols(signal).map((key) => {
    const { size } = (signal as unknown as Record<symbol, { size?: unknown } | undefined>)[key] ?? {};
    return [String(key), typeof size === "number" ? size : 0];
  });
  return { ...Object.fromEntries(symbols), listeners: getEventListeners(signal, "abort").length };
}
