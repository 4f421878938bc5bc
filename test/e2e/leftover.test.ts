import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { processes_marked } from "../support/supervisor.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

test("a test that times out in the middle leaves no daemon, host, tmux server or agent behind", async () => {
  // Inside the project, so that vitest finds it; a name that the suite does not look for.
  const dir = await mkdtemp(join(ROOT, "node_modules", ".leftover-"));
  const says = join(dir, "root");
  await writeFile(
    join(dir, "hangs.ts"),
    `import { writeFileSync } from "node:fs";
import { test } from "vitest";
import { fixture, TestSupervisor } from "${ROOT}test/support/supervisor.ts";
test("hangs", async () => {
  const supervisor = await TestSupervisor.prepare();
  writeFileSync(${JSON.stringify(says)}, supervisor.root);
  await supervisor.boot();
  await supervisor.deploy({ command: [fixture("idles")] });
  await new Promise(() => {});
}, 8_000);
`,
  );
  await writeFile(
    join(dir, "config.mjs"),
    `export default { test: { root: ${JSON.stringify(dir)}, include: ["hangs.ts"], exclude: [], pool: "forks" } };\n`,
  );
  const output = await new Promise<string>((resolve) => {
    const args = [
      join(ROOT, "node_modules/vitest/vitest.mjs"),
      "run",
      "--config",
      join(dir, "config.mjs"),
      "--root",
      dir,
    ];
    execFile(process.execPath, args, { cwd: dir }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  expect(output).toContain("timed out");
  expect(processes_marked(await readFile(says, "utf8"))).toEqual([]);
  await rm(dir, { recursive: true });
});
