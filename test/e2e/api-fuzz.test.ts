/** Whatever is sent to the API is done, or refused with an error of the catalogue: never a defect, never a dead daemon, never half done. */
import { readdirSync, readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERRORS, type ErrorCode } from "../../src/contract/errors.ts";
import { OPERATIONS, type OperationName } from "../../src/contract/operations.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
let agent_id: string;
/** So many requests for each operation; with 23 operations and a millisecond or two for each, that is some seconds. */
const RUNS = 120;
const NAMES = Object.keys(OPERATIONS) as OperationName[];
const keep_alive = new Agent({ keepAlive: true, maxSockets: 4 });

beforeAll(async () => {
  supervisor = await TestSupervisor.start();
  agent_id = (await supervisor.deploy({ command: [fixture("idles")] })).id;
});
afterAll(async () => {
  keep_alive.destroy();
  expect((await supervisor.client.call("get_agent", { params: { agent: agent_id } })).status).toBe("running");
  expect(supervisor.daemon_stderr).not.toMatch(/"level":(50|60)/);
  await supervisor.dispose();
});

interface Sent {
  method: string;
  path: string;
  body?: string;
  type?: string | undefined;
}
interface Answer {
  status: number;
  text: string;
}

function send({ method, path, body, type }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = type === undefined ? {} : { "content-type": type };
    const outgoing = request(
      { socketPath: supervisor.socket, agent: keep_alive, method, path, headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.once("error", reject);
        response.once("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** An error is one of the catalogue, with its status, in one line, without a stack. */
function expect_known({ status, text }: Answer): void {
  if (status < 400) return;
  const { success, error, code } = JSON.parse(text) as { success: boolean; error: string; code: ErrorCode };
  expect({ success, code: Object.keys(ERRORS).includes(code), status }, text).toEqual({
    success: false,
    code: true,
    status: ERRORS[code]?.http,
  });
  expect(code, text).not.toBe("internal");
  expect(error, text).toMatch(/^[^\n]+$/);
  expect(error, text).not.toMatch(/\bat .*\(.*:\d+:\d+\)|node_modules|\.ts:\d/);
}

const registries = () =>
  readdirSync(supervisor.workspace)
    .filter((name) => name.startsWith("TASK-"))
    .sort()
    .map((name) => readFileSync(join(supervisor.workspace, name, "AGENT_REGISTRY.json"), "utf8"));

/** JSON that is unusual: as text, because much of it cannot be made by JSON.stringify. */
const odd_json = fc.constantFrom(
  "[".repeat(200_000),
  `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`,
  `"${"x".repeat(200_000)}"`,
  '"\\ud800"',
  '"\\u0000\\u001b]52;c;eA==\\u0007\\u202e"',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  "1e999",
  "-0",
  "9007199254740993",
  "NaN",
  "null",
  "",
  "{",
  "\ufeff{}",
);
const any_json = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: odd_json },
);
const any_text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom(
    "..",
    "../../etc",
    "\0",
    "\ud800",
    "__proto__",
    "x".repeat(5_000),
    "-1",
    "1e9",
    "true",
    "%",
    "\x1b[2J",
  ),
);
/** Half of a pair cannot be encoded as UTF-8: it is sent as the bytes that it would have. */
const encoded = (text: string) =>
  encodeURIComponent(text.replace(/\p{Surrogate}/gu, "�")).replaceAll("%EF%BF%BD", "%ED%A0%80");
const any_type = fc.constantFrom(
  "application/json",
  "application/json",
  "application/json; charset=latin1",
  "text/plain",
  "multipart/form-data; boundary=x",
  "application/json\t;;;",
  undefined,
);

/** Keys of a schema that is an object. */
const keys_of = (schema: unknown) => Object.keys((schema as { shape?: object }).shape ?? {});

/** A body that would be taken, as far as there is one: what is put in for one of its fields decides. Nothing is ever deployed, ended or stopped by it. */
const BODIES: Partial<Record<OperationName, object>> = {
  deploy: { command: ["true"], cwd: "/no/such/directory" },
  progress: { status: "working", message: "m" },
  finding: { finding_type: "t", severity: "s", message: "m" },
  create_task: { description: "d" },
  send: { text: "t" },
  gc: { dry_run: true },
};
/** What would end the agent or the daemon is only sent in a form that must be refused. */
const DANGEROUS: readonly OperationName[] = ["stop", "kill", "kill_many"];

const path_of = (name: OperationName, param: string) => OPERATIONS[name].path.replace(/:\w+/, () => param);
/** `follow` and a `wait` without a deadline have no end. */
const ENDLESS = /[?&](follow)=/;

function requests(name: OperationName): fc.Arbitrary<Sent> {
  const { method, query, body } = OPERATIONS[name];
  const base = (BODIES[name] ?? {}) as Record<string, unknown>;
  const field = fc.oneof(fc.constantFrom(...keys_of(body), "unknown"), any_text);
  const mutated = fc.tuple(field, any_json).map(([key, value]) => {
    const rest = Object.entries(base)
      .filter(([other]) => other !== key)
      .map(([other, one]) => `${JSON.stringify(other)}:${JSON.stringify(one)}`);
    return `{${[...rest, `${JSON.stringify(key)}:${value || '""'}`].join(",")}}`;
  });
  const param = fc.oneof(
    any_text.map(encoded),
    fc.constant(agent_id ?? "x"),
    fc.constantFrom("%zz", "%00", "%ff", ".."),
  );
  const query_text = fc
    .array(fc.tuple(fc.oneof(fc.constantFrom(...keys_of(query), "unknown", "__proto__"), any_text), any_text), {
      maxLength: 3,
    })
    .map((pairs) => pairs.map(([key, value]) => `${encoded(key)}=${encoded(value)}`).join("&"));
  return fc
    .record({ param, query: query_text, body: fc.oneof(mutated, any_json), type: any_type })
    .map(({ param, query, body, type }) => {
      const path = `${path_of(name, param)}${query ? `?${query}` : ""}`;
      return method === "GET" ? { method, path } : { method, path, body, type };
    })
    .filter(({ path }) => path.length < 12_000 && !ENDLESS.test(path) && !(name === "wait" && path.includes(agent_id)));
}

describe.each(NAMES)("%s", (name) => {
  test.skipIf(DANGEROUS.includes(name))(
    "answers whatever it is asked with success, or an error of the catalogue",
    async () => {
      await fc.assert(
        fc.asyncProperty(requests(name), async (sent) => {
          expect_known(await send(sent));
        }),
        { numRuns: RUNS },
      );
      expect((await supervisor.client.call("health")).ok).toBe(true);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    },
  );

  test("refuses a request that is wrong anywhere, and leaves the registry as it was", async () => {
    // Reports reach the registry a moment later.
    await eventually("the reports of the tests before to be on disk", async () => {
      const { last_update } = await supervisor.client.call("get_agent", { params: { agent: agent_id } });
      return supervisor.registry_on_disk().some((one) => one.id === agent_id && one.last_update === last_update);
    });
    const before = registries();
    const { method } = OPERATIONS[name];
    const wrong = fc.oneof(
      fc.constant({ query: "?no_such_field=1", body: "{}" }),
      ...(method === "POST"
        ? [
            fc.constantFrom("[]", "1", '"x"', "{", '{"no_such_field":1}').map((body) => ({ query: "", body })),
            odd_json
              .filter((text) => !["", "null", "\ufeff{}"].includes(text) && !text.startsWith('{"__proto__"'))
              .map((body) => ({ query: "", body })),
          ]
        : []),
    );
    await fc.assert(
      fc.asyncProperty(wrong, async ({ query, body }) => {
        const path = `${path_of(name, agent_id)}${query}`;
        const answer = await send(
          method === "GET" ? { method, path } : { method, path, body, type: "application/json" },
        );
        expect(answer.status, `${body.slice(0, 80)} ${answer.text}`).toBeGreaterThanOrEqual(400);
        expect_known(answer);
      }),
      { numRuns: RUNS / 2 },
    );
    expect(registries()).toEqual(before);
  });
});
