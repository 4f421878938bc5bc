// dist/. Told stale by content, not by time: a checkout changes times, and a clock can be wrong.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, say } from "./run.mjs";

const STAMP = join(ROOT, "dist/.stamp");
const BUILD = "scripts/build.mjs";
const PROGRAMS = ["dist/supervisor.js", "dist/agent-host.cjs", "dist/look-thread.cjs"];
/** Besides src: how it is built, and from which packages. */
const INPUTS = [BUILD, "scripts/compile-host.cjs", "package-lock.json", "package.json", "tsconfig.json"];

/** The step: dist/ is what src/ says. */
export const bundles = {
  needed: () => !PROGRAMS.every((path) => existsSync(join(ROOT, path))) || read_stamp() !== hash_of_sources(),
  async apply() {
    // Before the build: what is edited while it runs must make the next one needed.
    const hash = hash_of_sources();
    say("building dist…");
    await run(process.execPath, [BUILD]);
    writeFileSync(STAMP, hash);
  },
};

function hash_of_sources() {
  // What is compiled ahead for a host is of use to this very Node alone.
  const hash = createHash("sha256").update(`${process.version}\0`);
  for (const path of [...INPUTS, ...files_under("src")]) {
    const content = readFileSync(join(ROOT, path));
    // The length, so that no two sets of files run together to the same bytes.
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

function files_under(directory) {
  return readdirSync(join(ROOT, directory), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${directory}/${entry.name}`;
      if (entry.isDirectory()) return files_under(path);
      // Editors leave dangling links as their locks.
      return entry.isFile() ? [path] : [];
    });
}

function read_stamp() {
  try {
    return readFileSync(STAMP, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    return null;
  }
}
