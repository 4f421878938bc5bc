#!/usr/bin/env -S node --
/**
 * The `supervisor` command's process: arguments and environment in, exit code out. The `--` above is for Node 20, which takes `--env-file` for its own
 * wherever it stands on the line: it would read the agent's variables, NODE_OPTIONS among them, into this process.
 */
import { run_cli } from "../cli/program.ts";
import { replace_what_hung_up } from "../cli/streams.ts";

process.on("exit", replace_what_hung_up);
// Where errors are told nothing can be told of this one.
process.stderr.on("error", () => undefined);
// A reader that leaves (`supervisor ps | head -1`) is not an error. A command that goes on then has its own listener (`go_on_unheard`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`supervisor: the answer could not be written to stdout (${error.message})\n`);
  process.exit(1);
});
process.exitCode = await run_cli({ argv: process.argv.slice(2), env: process.env, cwd: process.cwd() });
// What was written to a pipe must arrive before the end; and a file on a full disk tells here that it did not, before its event comes.
process.stdout.write("", (error) => {
  if (error && process.exitCode === 0) process.stdout.emit("error", error);
  process.exit();
});
