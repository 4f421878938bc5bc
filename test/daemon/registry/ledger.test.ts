import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agent_record } from "../../../src/contract/agent.ts";
import { count_agents } from "../../../src/daemon/registry/count-agents.ts";
import { Journal } from "../../../src/daemon/registry/journal.ts";
import { Ledger } from "../../../src/daemon/registry/ledger.ts";
import type { Task } from "../../../src/daemon/registry/task.ts";

let dir: string;
let path: string;
let warnings: string[];
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), "ledger-")));
  path = join(dir, "totals.json");
  warnings = [];
});
afterEach(() => rmSync(dir, { recursive: true }));

const tasks = new Set<string>();
const load = async () => {
  const ledger = new Ledger(dir, (task_id) => tasks.has(task_id));
  await ledger.load((text) => warnings.push(text));
  return ledger;
};
const sums = (agents: number) => ({
  ...{ agents, clear: agents, deferred: 0, failed: 0 },
  ...{ bytes_logged: 10 * agents, bytes_freed: 100 * agents },
});

describe("the ledger", () => {
  test("makes no file before there is something to count, and remembers across restarts", async () => {
    const ledger = await load();
    expect(ledger.expired()).toEqual(sums(0));
    expect(readdirSync(dir)).toEqual([]);
    await ledger.retire("a", sums(2));
    await ledger.retire("b", sums(3));
    await ledger.add_swept({ files: 4, bytes: 50 });
    for (const one of [ledger, await load()]) {
      expect(one.expired()).toEqual(sums(5));
      expect(one.swept).toEqual({ files: 4, bytes: 50 });
    }
  });

  test("counts a task once that a crash left where it was, also when it goes after another one", async () => {
    tasks.add("a");
    await (await load()).retire("a", sums(2));
    const after = await load();
    // It is there, and counts by itself.
    expect(after.expired()).toEqual(sums(0));
    await after.retire("b", sums(3));
    expect((await load()).expired()).toEqual(sums(3));
    await after.retire("a", sums(4));
    tasks.delete("a");
    expect((await load()).expired()).toEqual(sums(7));
  });

  test("loses nothing that is swept while it is written", async () => {
    const ledger = await load();
    await Promise.all([
      ledger.retire("a", sums(1)),
      ...Array.from({ length: 10 }, () => ledger.add_swept({ files: 1, bytes: 2 })),
      ledger.retire("b", sums(1)),
    ]);
    for (const one of [ledger, await load()]) {
      expect(one.swept).toEqual({ files: 10, bytes: 20 });
      expect(one.expired()).toEqual(sums(2));
    }
  });

  test.each(["", "{", '{"swept":{"files":-1,"bytes":0}}', "null"])(
    "that is %j is kept aside with a warning, and counting begins anew",
    async (text) => {
      writeFileSync(path, text);
      const ledger = await load();
      expect(warnings).toEqual([expect.stringMatching(/totals\.json cannot be used .*kept as totals\.json\.broken/)]);
      expect(ledger.expired()).toEqual(sums(0));
      await ledger.add_swept({ files: 1, bytes: 1 });
      expect(readFileSync(`${path}.broken`, "utf8")).toBe(text);
      expect((await load()).swept).toEqual({ files: 1, bytes: 1 });
    },
  );
});

test("an agent that is just leaving, in the registry and in the journal, is counted once", async () => {
  const agent = agent_record.parse({ id: "agent-000000-abcdef", status: "completed", cookie: "x" });
  const journal = await Journal.load(join(dir, "receipts.jsonl"), () => undefined);
  const task = { agents: new Map([[agent.id, agent]]), journal } as unknown as Task;
  expect(count_agents(task)).toEqual({ completed: 1 });
  await journal.append([agent]);
  expect(count_agents(task)).toEqual({ completed: 1 });
  task.agents.clear();
  expect(count_agents(task)).toEqual({ completed: 1 });
});
