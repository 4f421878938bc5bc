// Compiles a program ahead, for src/bin/agent-host.ts, which runs it in the same way: node FLAGS compile-host.cjs PROGRAM INTO. Run by build.mjs with the flags
// that a host is started with (src/daemon/host-flags.json): V8 takes only what was compiled with its own flags.
const { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } = require("node:fs");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");

const [program, into] = process.argv.slice(2);
const source = readFileSync(program, "latin1");
// Every function, also those that run at the end alone. The flag is part of what V8 compares, so it is put back.
setFlagsFromString("--no-lazy");
const script = new Script(source, { filename: program });
setFlagsFromString("--lazy");
const compiled = script.createCachedData();
// V8 does not look for damage: whole and on the disk before it has its name.
const beside = openSync(`${into}.new`, "w");
for (let done = 0; done < compiled.length; ) done += writeSync(beside, compiled, done);
fsyncSync(beside);
closeSync(beside);
renameSync(`${into}.new`, into);
