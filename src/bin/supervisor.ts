#!/usr/bin/env -S node --
/**
 * The `supervisor` command's process: arguments and environment in, exit code out. The `--` above is for Node 20, which takes `--env-file` for its own
 * wherever it stands on the line: it would read the agent's variables, NODE_OPTIONS among them, into this process.
 */
import { run_cli } from "../cli/program.ts";

// A reader that leaves (`supervisor ps | head -1`) is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exitCode = await run_cli({ argv: process.argv.slice(2), env: process.env, cwd: process.cwd() });
// What was written to a pipe must arrive before the end.
process.stdout.write("", () => process.exit());
