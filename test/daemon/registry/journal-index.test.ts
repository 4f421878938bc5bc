import { statSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { AgentRecord } from "../../../src/contract/agent.ts";
import { new_agent_id } from "../../../src/contract/ids.ts";
import { JournalIndex } from "../../../src/daemon/registry/journal-index.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
/** What lives, in bytes. */
function live(): number {
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}

/** As much of a record as the index looks at, with a file's size as the file system gives it. */
function ended(): AgentRecord {
  const { size } = statSync("package.json");
  const cleanup = {
    ...{ files_archived: [], files_kept: [], files_failed: [], files_deferred: [], survivors: [] },
    ...{ bytes_freed: size + size, bytes_logged: 40 },
  };
  const now = new Date();
  return {
    id: new_agent_id("agent", now),
    parent: "orchestrator",
    status: "completed",
    ended_at: now.toISOString(),
    receipt: { ended_at: now.toISOString(), cleanup },
  } as unknown as AgentRecord;
}

describe("the index of a journal", () => {
  test("takes about 200 bytes an agent, also of one that lived so long that its id was moved to the old generation", () => {
    const add = (index: JournalIndex, count: number) => {
      const agents = Array.from({ length: count }, ended);
      live();
      for (const one of agents) index.add(one, 2_900);
    };
    // What is compiled at first use is no part of it.
    add(new JournalIndex(), 2_000);
    const index = new JournalIndex();
    const before = live();
    add(index, 20_000);
    const each = (live() - before) / index.entries.size;
    expect(each).toBeLessThan(225);
  });
});
