/**
 * The agent host's first lines: they load the program of agent-host-program.ts, compiled ahead. A host runs most of its code once, its end above all, and would
 * compile each function at that moment (docs/performance.md). The compiled form lies beside the program, under a name that has the program's hash, made by the
 * build. V8 takes it from the same V8 with the same flags only; without one that it takes, the program is compiled as ever.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";

/** Put in by scripts/build.mjs: what the program beside this file is called. */
declare const PROGRAM: string;

const filename = join(__dirname, `${PROGRAM}.cjs`);
const text = read(filename);
const compiled = read_compiled(join(__dirname, `${PROGRAM}.v8`));
// What esbuild writes is ASCII. As latin1 it stays a string of one byte a character.
const script = new Script(text.bytes.toString("latin1"), { filename, cachedData: compiled?.bytes });
text.free();
compiled?.free();
script.runInThisContext()(require, module, exports, filename);

interface Contents {
  bytes: Buffer;
  /** Gives the memory back now: a host that idles collects no garbage, and would have it for ever. */
  free(): void;
}

/** Memory that can be given back. (Node 20 has it; the library of types that this project is checked with has not.) */
type Resizable = ArrayBuffer & { resize(length: number): void };

function read(path: string): Contents {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const memory = Reflect.construct(ArrayBuffer, [size, { maxByteLength: size }]) as Resizable;
    const bytes = Buffer.from(memory);
    let length = 0;
    for (let got = -1; got !== 0 && length < size; length += got)
      got = readSync(fd, bytes, length, size - length, null);
    return { bytes: bytes.subarray(0, length), free: () => memory.resize(0) };
  } finally {
    closeSync(fd);
  }
}

/** Null when there is none, or none that can be read: it is never needed. */
function read_compiled(path: string): Contents | null {
  try {
    return read(path);
  } catch {
    // Whatever the reason, the program is compiled.
    return null;
  }
}
