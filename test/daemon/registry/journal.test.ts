import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type AgentRecord, agent_record } from "../../../src/contract/agent.ts";
import { Journal } from "../../../src/daemon/registry/journal.ts";

let dir: string;
let path: string;
let warnings: string[];
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), "journal-")));
  path = join(dir, "receipts.jsonl");
  warnings = [];
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

const load = () => Journal.load(path, (text) => warnings.push(text));
const agent = (number: number, prompt = ""): AgentRecord =>
  agent_record.parse({
    id: `agent-000000-${number.toString(16).padStart(6, "0")}`,
    status: "completed",
    cookie: "x",
    prompt,
    ended_at: new Date(number * 1000).toISOString(),
  });
const ids = (journal: Journal) => [...journal.entries()].map((one) => one.id);
const lines = () => readFileSync(path, "utf8").split("\n").filter(Boolean);
const SUMS = '{"forgotten":';
/** The lines that are not what forgotten agents add up to. */
const kept_lines = () => lines().filter((line) => !line.startsWith(SUMS));

describe("a journal", () => {
  test("gives back what was appended, also after a restart, and holds no descriptor", async () => {
    const journal = await load();
    const all = [1, 2, 3].map((number) => agent(number, "é\n".repeat(number)));
    await journal.append(all.slice(0, 2));
    await journal.append(all.slice(2));
    for (const one of [journal, await load()]) {
      expect(await Promise.all(all.map(({ id }) => one.read(id)))).toEqual(all);
      expect(await one.read("agent-000000-ffffff")).toBeNull();
    }
  });

  test("takes an agent once", async () => {
    const journal = await load();
    await journal.append([agent(1)]);
    await journal.append([agent(1), agent(2)]);
    expect(lines()).toHaveLength(2);
  });

  test("loses its last line when that was cut short, and no other; the next one is not glued to it", async () => {
    await (await load()).append([agent(1), agent(2)]);
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, whole.length - 10));
    const journal = await load();
    expect(ids(journal)).toEqual([agent(1).id]);
    await journal.append([agent(2), agent(3)]);
    expect(ids(await load())).toEqual([agent(1).id, agent(2).id, agent(3).id]);
    expect(await journal.read(agent(3).id)).toEqual(agent(3));
    expect(lines()).toHaveLength(3);
  });

  test("says when lines are no receipts, and reads the others", async () => {
    await (await load()).append([agent(1)]);
    appendFileSync(path, "not a receipt\n");
    const journal = await load();
    await journal.append([agent(2)]);
    expect(ids(await load())).toEqual([agent(1).id, agent(2).id]);
    expect(warnings[0]).toContain("1 lines are no receipts");
  });

  test("finds its agents again when somebody writes into the file", async () => {
    const journal = await load();
    await journal.append([agent(1), agent(2)]);
    writeFileSync(path, `\n${readFileSync(path, "utf8")}`);
    expect(await journal.read(agent(2).id)).toEqual(agent(2));
    await journal.append([agent(3)]);
    expect(await journal.read(agent(3).id)).toEqual(agent(3));
  });

  test("forgets agents, and its file is never more than twice what it remembers", async () => {
    const journal = await load();
    const all = Array.from({ length: 100 }, (_, number) => agent(number + 1));
    await journal.append(all);
    const full = journal.bytes;
    for (const one of all.slice(0, 90)) {
      await journal.forget([one.id]);
      const sums = lines().filter((line) => line.startsWith(SUMS));
      const wanted = [...journal.entries()].reduce((sum, entry) => sum + entry.length + 1, 200 * sums.length);
      expect(readFileSync(path).length).toBe(journal.bytes);
      expect(journal.bytes).toBeLessThanOrEqual(2 * wanted);
    }
    expect(journal.bytes).toBeLessThan(full / 4);
    expect(await Promise.all(all.slice(90).map(({ id }) => journal.read(id)))).toEqual(all.slice(90));
    await journal.append([agent(101)]);
    expect(await (await load()).read(agent(101).id)).toEqual(agent(101));
  });

  test("loses no receipt when it is written anew after somebody wrote into the file", async () => {
    const journal = await load();
    const all = [1, 2, 3].map((number) => agent(number, "x".repeat(300 * number)));
    await journal.append(all);
    writeFileSync(path, `\n${readFileSync(path, "utf8")}`);
    await journal.forget([agent(2).id, agent(3).id]);
    for (const one of [journal, await load()]) {
      expect(ids(one)).toEqual([agent(1).id]);
      expect(await one.read(agent(1).id)).toEqual(all[0]);
    }
  });

  test("is left as it is when a line is of another agent than it was, although the file is as long; and the next time is written anew", async () => {
    const journal = await load();
    await journal.append([agent(1), agent(2), agent(3, "x".repeat(2000))]);
    const [one, two, three] = lines();
    const changed = `${two}\n${one}\n${three}\n`;
    writeFileSync(path, changed);
    await expect(journal.forget([agent(3).id])).rejects.toThrow("was changed by somebody else");
    expect(readFileSync(path, "utf8")).toBe(changed);
    expect(readdirSync(dir)).toEqual(["receipts.jsonl"]);
    await journal.forget([agent(3).id]);
    expect(kept_lines()).toEqual([two, one]);
    expect(await journal.read(agent(1).id)).toEqual(agent(1));
  });

  test("keeps lines that are no receipts when it is written anew, in their place", async () => {
    const journal = await load();
    await journal.append([agent(1), agent(2, "x".repeat(2000))]);
    appendFileSync(path, "of another version\nbit rot\n");
    await journal.append([agent(3)]);
    expect(journal.unreadable).toBe(2);
    await journal.forget([agent(2).id]);
    expect(kept_lines()).toEqual([JSON.stringify(agent(1)), "of another version", "bit rot", JSON.stringify(agent(3))]);
    for (const one of [journal, await load()]) {
      expect(one.unreadable).toBe(2);
      expect(one.bytes).toBe(readFileSync(path).length);
      expect(await one.read(agent(3).id)).toEqual(agent(3));
    }
  });

  test("counts whom it forgot, in one line, however often it is written anew and read again", async () => {
    const journal = await load();
    const receipt = (bytes: number) => ({
      success: true,
      agent_id: "x",
      tmux_session: null,
      session_killed: true,
      reason: "",
      status: "completed" as const,
      cause: "exited" as const,
      exit: { code: 0, signal: null, at: null },
      signals: [],
      ended_at: "",
      amended_at: null,
      notes: [],
      cleanup: {
        ...{ files_deleted: [], files_archived: [], files_kept: [], files_deferred: [], files_failed: [] },
        ...{ bytes_freed: bytes, bytes_logged: 2 * bytes, bytes_read: 2 * bytes, handles: "clear" as const },
        ...{ processes_ended: [], survivors: [], duration_ms: {} },
      },
    });
    const all = Array.from({ length: 20 }, (_, number) =>
      agent_record.parse({ ...agent(number + 1), receipt: receipt(number + 1) }),
    );
    await journal.append(all.slice(0, 19));
    const total = (bytes: number, agents: number) => ({
      by_status: { completed: agents },
      receipts: { agents, clear: agents, deferred: 0, failed: 0, bytes_logged: 2 * bytes, bytes_freed: bytes },
    });
    expect(journal.sums).toEqual(total(190, 19));
    for (const one of all.slice(0, 18)) {
      await journal.forget([one.id]);
      expect(journal.sums).toEqual(total(190, 19));
      expect((await load()).sums).toEqual(total(190, 19));
    }
    expect(lines().filter((line) => line.startsWith(SUMS))).toHaveLength(1);
    // Read again because somebody wrote into it, and as the last line, without its end.
    appendFileSync(path, "bit rot\n");
    await journal.append(all.slice(19));
    expect(journal.sums).toEqual(total(210, 20));
    await journal.forget(all.map(({ id }) => id));
    writeFileSync(path, lines().filter((line) => line.startsWith(SUMS))[0] as string);
    const again = await load();
    expect(again.sums).toEqual(total(210, 20));
    await again.append([agent(21)]);
    expect((await load()).sums.by_status).toEqual({ completed: 21 });
    expect(again.count).toBe(1);
  });

  test("syncs what an earlier call wrote and could not sync, and its name", async () => {
    const journal = await load();
    const handle = await open(dir);
    const sync = vi.spyOn(Object.getPrototypeOf(handle), "sync").mockRejectedValueOnce(new Error("EIO"));
    await handle.close();
    await expect(journal.append([agent(1)])).rejects.toThrow("EIO");
    expect(sync).toHaveBeenCalledTimes(1);
    await journal.append([agent(1)]);
    expect(sync).toHaveBeenCalledTimes(3);
    expect(lines()).toHaveLength(1);
  });

  test("gives a last line that lost only its end its end back", async () => {
    await (await load()).append([agent(1, "x".repeat(900)), agent(2)]);
    const whole = readFileSync(path, "utf8");
    for (const write of [(one: Journal) => one.append([agent(3)]), (one: Journal) => one.forget([agent(1).id])]) {
      writeFileSync(path, whole.trimEnd());
      const journal = await load();
      expect(await journal.read(agent(2).id)).toEqual(agent(2));
      await write(journal);
      expect(readFileSync(path, "utf8").endsWith("}\n")).toBe(true);
      const again = await load();
      expect(ids(again)).toEqual(ids(journal));
      expect(await again.read(agent(2).id)).toEqual(agent(2));
    }
  });

  test.each([
    ["JSON that is no receipt", '{"of":"another version"}'],
    ["a person's note", "do not touch, I look into this"],
  ])("keeps a last line without an end that is %s: it was not cut short by us", async (_what, tail) => {
    await (await load()).append([agent(1, "x".repeat(4000)), agent(2)]);
    appendFileSync(path, tail);
    const journal = await load();
    expect(journal.unreadable).toBe(1);
    await journal.append([agent(3)]);
    await journal.forget([agent(1).id]);
    expect(kept_lines()).toEqual([JSON.stringify(agent(2)), tail, JSON.stringify(agent(3))]);
    for (const one of [journal, await load()]) {
      expect(ids(one)).toEqual([agent(2).id, agent(3).id]);
      expect(await one.read(agent(3).id)).toEqual(agent(3));
    }
  });

  test("cuts off room that the file system gave to a write and never filled", async () => {
    await (await load()).append([agent(1)]);
    appendFileSync(path, "\0".repeat(100));
    const journal = await load();
    expect(journal.unreadable).toBe(0);
    await journal.append([agent(2)]);
    expect(lines()).toEqual([agent(1), agent(2)].map((one) => JSON.stringify(one)));
  });

  test("is not read or written through a link", async () => {
    const elsewhere = join(dir, "elsewhere");
    writeFileSync(elsewhere, "");
    symlinkSync(elsewhere, path);
    await expect(load()).rejects.toMatchObject({ code: "out_of_place" });
    rmSync(path);
    const journal = await load();
    symlinkSync(elsewhere, path);
    await expect(journal.append([agent(1)])).rejects.toThrow();
    expect(readFileSync(elsewhere, "utf8")).toBe("");
  });
});
