/**
 * The agent host's first lines: they load the program of agent-host-program.ts, compiled ahead. A host runs most of its code once, its end above all, and would
 * compile each function at that moment (docs/performance.md). The compiled form lies beside the program, under a name that has the program's hash, made by the
 * build. V8 takes it from the same V8 with the same flags only; without one that it takes, the program is compiled as ever.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";

/** Put in by scripts/build.mjs: what the program beside this file is called. */
declare const PROGRAM: string;

const filename = join(__dirname, `${PROGRAM}.cjs`);
// What esbuild writes is ASCII. As latin1 it stays a string of one byte a character.
const source = readFileSync(filename, "latin1");
const script = new Script(`(function(require,module,exports,__filename){${source}\n})`, {
  filename,
  cachedData: compiled(),
});
script.runInThisContext()(require, module, exports, filename);

/** Undefined when there is none, or none that can be read: it is never needed. */
function compiled(): Buffer | undefined {
  try {
    return readFileSync(join(__dirname, `${PROGRAM}.v8`));
  } catch {
    // Whatever the reason, the program is compiled.
    return undefined;
  }
}
