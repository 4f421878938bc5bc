/**
 * The show: 24 hours with many agents begun and ended, on a clock that is handed in. At every look prompt files are as many as running agents, and
 * archives, registry and journal are within their bounds. Returns what it saw, for whoever prints it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { type InProcess, start_in_process } from "./in-process.ts";
import { eventually } from "./supervisor.ts";

const HOURS = 24;
const RETENTION = {
  days: 0.1,
  max_bytes: 150_000,
  receipts_max_bytes: 400_000,
  ended_in_registry: 10,
  ended_minutes: 5,
};
/** What a record of a registry takes at most here, in bytes. */
const RECORD_BYTES = 8_000;

export interface DayOptions {
  agents: number;
  /** How many are begun and ended between two looks. */
  at_once: number;
  /** How many run all day. */
  staying: number;
  /** Where its workspace is; the temp directory if nothing is said. */
  base?: string;
  /** Begins an agent and ends it, with its files archived or deleted. Resolves when its end is complete. */
  live: (one: InProcess, cleanup: "archive" | "delete") => Promise<AgentRecord>;
}

export interface DaySeen {
  looks: number;
  ended: number;
  successes: number;
  most: { archive_bytes: number; registry_bytes: number; journal_bytes: number; workspace_files: number };
}

export async function simulate_day({ agents, at_once, staying, live, base }: DayOptions): Promise<DaySeen> {
  const one = await start_in_process(RETENTION, base);
  const { supervisor, clock } = one;
  const seen: DaySeen = {
    looks: 0,
    ended: 0,
    successes: 0,
    most: { archive_bytes: 0, registry_bytes: 0, journal_bytes: 0, workspace_files: 0 },
  };
  for (let count = 0; count < staying; count++) await supervisor.deploy({ command: ["sleep", "100000"] });
  const rounds = Math.ceil(agents / at_once);
  const round_ms = (HOURS * 3_600_000) / rounds;
  const ids: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const ended = await Promise.all(
      Array.from({ length: Math.min(at_once, agents - seen.ended) }, (_, index) =>
        live(one, index % 3 === 0 ? "delete" : "archive"),
      ),
    );
    ids.push(...ended.map(({ id }) => id));
    seen.ended += ended.length;
    seen.successes += ended.filter((agent) => agent.receipt?.success).length;
    // Halfway through, the supervisor is started anew.
    if (round === Math.floor(rounds / 2)) {
      await one.stop();
      await one.start();
    }
    for (const part of [1, 2]) {
      clock.advance(round_ms / 2);
      // An lsof that a busy machine hinders says nothing, and what it was asked for waits for the next sweep.
      const items = await eventually("lsof to give its word on every expired archive", async () => {
        const answer = await one.client.call("gc");
        const waits = answer.items.filter((item) => item.what === "expired_archive" && item.action === "wait");
        const told = waits.filter(({ why }) => !why.includes("must know of it"));
        if (told.length > 0) console.log(told[0]?.why);
        return told.length === 0 ? answer.items : null;
      });
      expect(items.filter(({ result }) => result === "failed")).toEqual([]);
      look(one, seen, staying, `round ${round}.${part}`);
    }
  }
  // The youngest is found still, by whatever asks for it; the oldest is forgotten.
  const last = ids.at(-1) as string;
  expect(await one.client.call("get_agent", { params: { agent: last } })).toMatchObject({ id: last });
  expect(await one.client.call("kill", { params: { agent: last } })).toMatchObject({ agent_id: last });
  await expect(one.client.call("get_agent", { params: { agent: ids[0] as string } })).rejects.toMatchObject({
    code: "agent_not_found",
  });
  await one.dispose();
  return seen;
}

function look({ supervisor, clock }: InProcess, seen: DaySeen, running: number, when: string): void {
  const files = readdirSync(supervisor.workspace, { recursive: true, encoding: "utf8" })
    .map((name) => join(supervisor.workspace, name))
    .filter((path) => existsSync(path) && statSync(path).isFile());
  const bytes = (fits: (path: string) => boolean) =>
    files.filter(fits).reduce((sum, path) => sum + statSync(path).size, 0);
  expect(
    files.filter((path) => /\/agent_prompt_[^/]*\.txt$/.test(path)),
    `prompt files, ${when}`,
  ).toHaveLength(running);

  const archives = files.filter((path) => path.includes("/archive/"));
  const archive_bytes = bytes((path) => path.includes("/archive/"));
  expect(archive_bytes, `archives, ${when}`).toBeLessThanOrEqual(RETENTION.max_bytes);
  for (const path of archives.filter((name) => name.endsWith("_receipt.json"))) {
    const { ended_at } = JSON.parse(readFileSync(path, "utf8"));
    // An archive goes with the second sweep that finds it too old.
    const age_ms = clock.wall_ms() - Date.parse(ended_at);
    expect(age_ms, `${path}, ${when}`).toBeLessThan(RETENTION.days * 86_400_000 + 2 * 3_600_000 * 2.5);
  }

  const registries = files.filter((path) => path.endsWith("/AGENT_REGISTRY.json"));
  const entries = registries.flatMap((path) => JSON.parse(readFileSync(path, "utf8")).agents as AgentRecord[]);
  const most_entries = running + RETENTION.ended_in_registry;
  expect(entries.length, `registry entries, ${when}`).toBeLessThanOrEqual(most_entries);
  const registry_bytes = bytes((path) => path.endsWith("/AGENT_REGISTRY.json"));
  expect(registry_bytes, `registry, ${when}`).toBeLessThan(most_entries * RECORD_BYTES + 2_000);

  const journal_bytes = bytes((path) => path.endsWith("/receipts.jsonl"));
  expect(journal_bytes, `journal, ${when}`).toBeLessThanOrEqual(2 * RETENTION.receipts_max_bytes);

  seen.looks += 1;
  const now = { archive_bytes, registry_bytes, journal_bytes, workspace_files: files.length };
  for (const key of Object.keys(now) as (keyof typeof now)[]) seen.most[key] = Math.max(seen.most[key], now[key]);
}

/** For the end of a test: what was seen, in one line. */
export const day_text = ({ looks, ended, successes, most }: DaySeen): string =>
  `${ended} agents in 24 simulated hours, ${looks} looks; cleanup success rate ${((100 * successes) / ended).toFixed(1)} %; at most ${most.archive_bytes} bytes of archives, ${most.registry_bytes} of registry, ${most.journal_bytes} of journal, ${most.workspace_files} files`;

/** A real agent, in a real session, that prints, and ends: by itself, or by a kill. */
export async function live_really(one: InProcess, cleanup: "archive" | "delete"): Promise<AgentRecord> {
  const { client, supervisor } = one;
  const by_itself = cleanup === "archive";
  const command = by_itself ? ["sh", "-c", "seq 1 500"] : ["sleep", "100000"];
  const { id } = await supervisor.deploy({ command, cleanup, prompt: "a short life" });
  if (by_itself) await client.call("wait", { params: { agent: id } });
  else await client.call("kill", { params: { agent: id }, body: { cleanup } });
  return client.call("get_agent", { params: { agent: id } });
}
