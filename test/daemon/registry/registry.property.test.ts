import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type AgentRecord, agent_record } from "../../../src/contract/agent.ts";
import { Registry } from "../../../src/daemon/registry/registry.ts";

const TASK = "TASK-20251029-225319-45548b6a";

async function in_workspace(work: (workspace: string) => Promise<void>): Promise<void> {
  const workspace = await mkdtemp(join(tmpdir(), "sv-reg-"));
  try {
    await mkdir(join(workspace, TASK));
    await work(workspace);
  } finally {
    await rm(workspace, { recursive: true });
  }
}

async function load(workspace: string): Promise<Registry> {
  const registry = new Registry(workspace);
  await registry.load();
  return registry;
}

/** Any text a program can hold: unicode, NUL, lone surrogates. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("\ud800", "a\udfffb", "\u0000", "\u2028"),
);
const known_fields = Object.keys(agent_record.shape);
/** `__proto__` is no name of a field: zod does not take it from an input, and nobody writes it. */
const unknown_field = text.filter((name) => name !== "__proto__" && !known_fields.includes(name));
const record = fc
  .record({
    // An id becomes part of paths; one that would lead elsewhere is no agent's.
    id: fc.string({ minLength: 1, unit: "binary" }).filter((id) => agent_record.shape.id.safeParse(id).success),
    known: fc.record(
      {
        prompt: text,
        message: text,
        command: fc.array(text),
        cwd: text,
        progress: fc.double({ noNaN: true, noDefaultInfinity: true }),
        tracked_files: fc.dictionary(unknown_field, text),
      },
      { requiredKeys: [] },
    ),
    unknown: fc.dictionary(unknown_field, fc.jsonValue({ stringUnit: "binary" })),
  })
  .map(({ id, known, unknown }) => ({ ...unknown, ...known, id }));
const records = fc.uniqueArray(record, { maxLength: 5, selector: (one) => one.id });
/** What JSON makes of it: it has no -0. */
const as_json = (value: unknown) => JSON.parse(JSON.stringify(value));

test("what is written is what is loaded: any record, with fields that nobody knows", async () => {
  await fc.assert(
    fc.asyncProperty(records, (all) =>
      in_workspace(async (workspace) => {
        const registry = await load(workspace);
        const task = registry.task(TASK);
        const agents: AgentRecord[] = all.map((one) => agent_record.parse(one));
        for (const agent of agents) await registry.add(task, agent);
        const again = await load(workspace);
        expect(again.warnings).toEqual([]);
        expect(as_json([...again.task(TASK).agents.values()])).toEqual(as_json(agents));
        for (const one of all) expect(as_json(again.task(TASK).agents.get(one.id))).toMatchObject(as_json(one));
      }),
    ),
    { numRuns: 60 },
  );
});

test("a huge record is written and loaded", () =>
  in_workspace(async (workspace) => {
    const registry = await load(workspace);
    const message = "\u{1f600}\ud800".repeat(1_000_000);
    await registry.add(registry.task(TASK), agent_record.parse({ id: "huge", message }));
    expect((await load(workspace)).find("huge").message === message).toBe(true);
  }));

test("a registry cut at any byte is loaded from its last good copy and kept aside, whatever it held", async () => {
  await fc.assert(
    fc.asyncProperty(records, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (all, part) =>
      in_workspace(async (workspace) => {
        const path = join(workspace, TASK, "AGENT_REGISTRY.json");
        const registry = await load(workspace);
        for (const one of all) await registry.add(registry.task(TASK), agent_record.parse(one));
        const whole = await readFile(path);
        const before = await readFile(`${path}.bak`, "utf8").catch(() => null);
        // The last byte is a newline, without which the file is as good.
        const cut = whole.subarray(0, Math.floor(part * (whole.length - 1)));
        await writeFile(path, cut);
        const again = await load(workspace);
        const expected = before === null ? [] : JSON.parse(before).agents;
        expect(as_json([...again.task(TASK).agents.values()])).toEqual(expected);
        const aside = (await readdir(join(workspace, TASK))).filter((name) => name.includes(".broken-"));
        expect(aside).toHaveLength(1);
        expect((await readFile(join(workspace, TASK, aside[0] as string))).equals(cut)).toBe(true);
        expect((await load(workspace)).warnings).toEqual([]);
      }),
    ),
    { numRuns: 60 },
  );
});
