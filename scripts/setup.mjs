// Puts in place what the project needs before any of it can run: system programs, packages, the bundled programs in
// dist/. Runs before every `npm start`, `npm test`, `npm run demo` and `npm run bench`, so it must cost nothing and say
// nothing when all is in place. Built-ins only: on a fresh clone there are no packages yet.
//
//   node scripts/setup.mjs [--for-tests]
//
// Exit codes: 0 all in place, 1 something is missing and cannot be put in place (the last line says what to do).
import { readFileSync } from "node:fs";

/** What is wrong with this Node or system, or nothing. The floor stands in package.json alone. */
function unsupported() {
  const floor = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).engines.node.slice(2);
  const [major, minor] = floor.split(".").map(Number);
  const [ours, ours_minor] = process.versions.node.split(".").map(Number);
  if (ours < major || (ours === major && ours_minor < minor)) {
    return `Node ${floor} or newer is needed, this is ${process.version} (${process.execPath})`;
  }
  if (process.platform === "win32") return "Windows has no tmux and no ptys of this kind: use it inside WSL";
  return null;
}

const refusal = unsupported();
if (refusal) {
  process.stderr.write(`setup: ${refusal}\n`);
  process.exitCode = 1;
} else {
  // Imported only now, so that an old Node reads the line above and not a syntax error.
  const { set_up } = await import("./setup/steps.mjs");
  process.exitCode = await set_up({ for_tests: process.argv.includes("--for-tests") });
}
