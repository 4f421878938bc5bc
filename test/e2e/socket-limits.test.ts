/** What is no request, or too much of one. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DATA_DEPTH } from "../../src/contract/operations/reports.ts";
import { LIMITS } from "../../src/daemon/api/limits.ts";
import { start_in_process } from "../support/in-process.ts";
import { connect, converse } from "../support/sockets.ts";
import { fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeAll(async () => {
  supervisor = await TestSupervisor.start();
});
afterAll(() => supervisor.dispose());

const HOST = "host: x\r\n";
const post = (body: string, length = Buffer.byteLength(body)) =>
  `POST /v1/gc HTTP/1.1\r\n${HOST}connection: close\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;
const serves = async () => expect((await supervisor.client.call("health")).ok).toBe(true);
/** The status line and the error of an answer. */
function answer_of(said: string): { status: number; code: string | undefined } {
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1]);
  const body = said.slice(said.indexOf("\r\n\r\n") + 4);
  return { status, code: body.startsWith("{") ? JSON.parse(body).code : undefined };
}

describe("a client that", () => {
  // Beside each other: two of them wait for their deadlines, of 10 s and 30 s.
  test.concurrent.each<[string, () => string, number, string]>([
    ["talks garbage", () => "\x00\x01garbage\r\n\r\n", 400, "invalid_request"],
    ["speaks TLS", () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_request"],
    [
      "sends headers without an end",
      () => `GET /healthz HTTP/1.1\r\n${HOST}x: ${"a".repeat(20_000)}`,
      413,
      "request_too_large",
    ],
    ["asks for an endless path", () => `GET /${"a".repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, 413, "request_too_large"],
    ["announces a body that is too long", () => post("{", 33 * 1024 * 1024), 413, "request_too_large"],
    [
      "announces two lengths",
      () => `POST /v1/gc HTTP/1.1\r\n${HOST}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
      400,
      "invalid_request",
    ],
    ["never ends its headers", () => `GET /healthz HTTP/1.1\r\n${HOST}x-slow: `, 504, "timeout"],
    ["never ends its body", () => post("{", 100), 504, "timeout"],
  ])("%s is answered or hung up on, and others are served meanwhile", async (_what, said, status, code) => {
    const answered = converse(supervisor.socket, Buffer.from(said(), "latin1"));
    await serves();
    expect(answer_of(await answered)).toEqual({ status, code });
    await serves();
  });

  test("connects and says nothing, or leaves in the middle, costs nothing and is let go", async () => {
    const silent = await connect(supervisor.socket);
    const left = await connect(supervisor.socket);
    left.write(post("{", 100));
    left.destroy();
    await once(left, "close");
    await serves();
    silent.destroy();
  });

  test("sends many requests at once on one connection gets all the answers, in order", async () => {
    const ask = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;
    const last = `GET /nowhere HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`;
    const said = await converse(supervisor.socket, ask.repeat(50) + last);
    expect([...said.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual([
      ...Array(50).fill("200"),
      "404",
    ]);
  });

  test("never reads its answers does not hold up others", async () => {
    const deaf = await connect(supervisor.socket);
    deaf.pause();
    deaf.write(`GET /openapi.json HTTP/1.1\r\n${HOST}\r\n`.repeat(200));
    for (let time = 0; time < 5; time++) await serves();
    deaf.destroy();
  });
});

test("more connections than are allowed are hung up on; when some leave, others are served", async () => {
  const open: Socket[] = [];
  try {
    while (open.length < 1_001) open.push(await connect(supervisor.socket));
    const over = open.at(-1) as Socket;
    if (!over.closed) await once(over.resume(), "close");
  } finally {
    for (const socket of open) socket.destroy();
  }
  await expect
    .poll(() =>
      supervisor.client.call("health").then(
        (one) => one.ok,
        () => false,
      ),
    )
    .toBe(true);
});

test("a loop that asks too often is refused with 429, and another operation is served", async () => {
  const one = await start_in_process({});
  // For the daemon it is all in one second, however many a loaded machine answers in that time.
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const ask = `GET /v1/profiles HTTP/1.1\r\n${HOST}\r\n`;
    const last = `GET /v1/profiles HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`;
    const said = await converse(one.supervisor.socket, ask.repeat(LIMITS.requests_a_second) + last);
    const statuses = [...said.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    // Those that were read together with the one too many are refused with it.
    expect([statuses.length, statuses[0], statuses.at(-1)]).toEqual([LIMITS.requests_a_second + 1, "200", "429"]);
    expect(said).toContain('"code":"too_many_requests"');
    expect((await one.client.call("health")).ok).toBe(true);
  } finally {
    vi.useRealTimers();
  }
  await one.dispose();
});

test("a finding's data may be nested as deep as the page says, and no deeper", async () => {
  const agent = await supervisor.deploy({ command: [fixture("idles")] });
  const nested = (levels: number) => {
    let data: Record<string, unknown> = {};
    for (let level = 1; level < levels; level++) data = { a: data };
    return { finding_type: "t", severity: "s", message: "m", data };
  };
  const report = (levels: number) =>
    supervisor.client.call("finding", { params: { agent: agent.id }, body: nested(levels) });
  expect((await report(DATA_DEPTH)).success).toBe(true);
  await expect(report(DATA_DEPTH + 2)).rejects.toMatchObject({
    code: "invalid_request",
    message: expect.stringContaining(`nested deeper than ${DATA_DEPTH} levels`),
  });
});
