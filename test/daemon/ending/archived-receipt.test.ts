import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { AgentRecord } from "../../../src/contract/agent.ts";
import { put_receipt } from "../../../src/daemon/ending/archived-receipt.ts";
import type { Services } from "../../../src/daemon/services.ts";

test("a receipt that an end, a sweep and a departure write at once is there, whole, with nothing beside it", async () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "receipt-")));
  await mkdir(join(dir, "archive"));
  const services = { registry: { task_of: () => ({ dir }) } } as unknown as Services;
  const agent = { id: "a-000000-abcdef", receipt: { cleanup: { files_archived: ["x"] } } } as unknown as AgentRecord;
  for (let round = 0; round < 50; round++) await Promise.all([1, 2, 3].map(() => put_receipt(services, agent)));
  expect(readdirSync(join(dir, "archive"))).toEqual([`${agent.id}_receipt.json`]);
  expect(JSON.parse(readFileSync(join(dir, "archive", `${agent.id}_receipt.json`), "utf8"))).toEqual(agent.receipt);
  rmSync(dir, { recursive: true });
});
