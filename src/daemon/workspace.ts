/** The workspace's directory: made where it is missing, and proven to take files, before anything else is done. */
import { mkdir, realpath, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { is_errno, message_of, SupervisorError } from "../contract/errors.ts";

/** Makes the workspace and returns its real path. */
export async function prepare_workspace(path: string): Promise<string> {
  try {
    const made = await make_directories(path);
    const real = await realpath(path);
    const probe = `${real}/.write-probe-${process.pid}`;
    await rm(probe, { force: true });
    await writeFile(probe, "", { flag: "wx", mode: 0o600 });
    await rm(probe);
    // The default one stands in somebody's project: what agents print is nothing for its repository. A directory that was there already is its owner's.
    if (made) await writeFile(`${real}/.gitignore`, "*\n", { flag: "wx", mode: 0o600 });
    return real;
  } catch (error) {
    throw new SupervisorError(
      "workspace_unusable",
      `the workspace ${path} cannot be used: ${message_of(error)}; choose another with --workspace`,
    );
  }
}

/** As `mkdir -p`. Node's own (`recursive: true`) never returns for a path below /proc (seen with Node 20.20). False when it was there. */
async function make_directories(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (is_errno(error, "EEXIST")) return false;
    if (!is_errno(error, "ENOENT") || dirname(path) === path) throw error;
    await stat(dirname(path)).then(
      () => Promise.reject(error),
      async () => void (await make_directories(dirname(path))),
    );
    await mkdir(path, { mode: 0o700 });
    return true;
  }
}
