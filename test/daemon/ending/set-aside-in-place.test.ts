import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { agent_record, type Ending } from "../../../src/contract/agent.ts";
import { task_folders, tracked_files_of, trash_dir } from "../../../src/contract/paths.ts";

/** Called after each look at a path: the moment in which somebody may put a link there. */
let after_look: (path: string) => Promise<void> = async () => {};
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const lstat = async (path: string) => {
    const facts = await real.lstat(path);
    await after_look(path);
    return facts;
  };
  return { ...real, lstat };
});
const { set_aside } = await import("../../../src/daemon/ending/set-aside.ts");

let root: string;
let dir: string;
let log: string;
const ending = () => ({ cause: "kill", cleanup: "delete", set_aside: [], files_failed: [] }) as unknown as Ending;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "sv-aside-")));
  dir = join(root, "task");
  await Promise.all(task_folders(dir).map((folder) => mkdir(folder, { recursive: true })));
  await mkdir(join(root, "elsewhere"));
  log = tracked_files_of(dir, "a-000000-abcdef", false).log_file as string;
});
afterEach(async () => {
  after_look = async () => {};
  await rm(root, { recursive: true });
});

test.each(["the file's directory", "trash"])(
  "a link that comes into the place of %s after the look leads nothing out of the task and nothing into it",
  async (what) => {
    const folder = what === "trash" ? trash_dir(dir) : dirname(log);
    const name = log.slice(dirname(log).length + 1);
    await writeFile(log, "the agent's");
    if (what !== "trash") await writeFile(join(root, "elsewhere", name), "a person's");
    let looks = 0;
    after_look = async (path) => {
      // The first look is the last before the rename.
      if (path !== log || ++looks !== 1) return;
      await rename(folder, `${folder}-away`);
      await symlink(join(root, "elsewhere"), folder);
    };
    const files = { log_file: log };
    const done = ending();
    await set_aside(dir, agent_record.parse({ id: "a-000000-abcdef", tracked_files: files }), done);
    expect(looks).toBe(1);
    expect(done.set_aside).toEqual([]);
    expect(done.files_failed).toEqual([
      { path: log, error: expect.stringContaining(`${folder} is not the file or directory`) },
    ]);
    const left = what === "trash" ? log : join(`${folder}-away`, name);
    expect(readFileSync(left, "utf8")).toBe("the agent's");
    if (what === "trash") expect(readdirSync(join(root, "elsewhere"))).toEqual([]);
    else expect(readFileSync(join(root, "elsewhere", name), "utf8")).toBe("a person's");
    expect(existsSync(join(trash_dir(dir), name))).toBe(false);
  },
);
