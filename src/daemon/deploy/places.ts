/** Refuses a deploy whose directory or program is not there, before anything is made. A file system that does not answer is waited for in a lane. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { is_errno, SupervisorError, trouble } from "../../contract/errors.ts";
import { no_answer, OUTSIDE, within } from "../patience.ts";
import { type DeployPlan, missing_program } from "../profiles/plan.ts";

/** Refuses a directory or a program that is not there, before anything is made. */
export async function check_program(request: DeployPlan): Promise<void> {
  const { cwd } = request;
  if (!isAbsolute(cwd)) throw new SupervisorError("invalid_request", `cwd must be an absolute path, not '${cwd}'`);
  if (OUTSIDE.stuck) throw no_answer(cwd, "an earlier deploy still waits for its directory; nothing was started");
  await within(
    OUTSIDE.in_turn(() => check_places(request)),
    () => no_answer(cwd, "or that of a directory on the agent's PATH; nothing was started"),
  );
}

async function check_places(request: DeployPlan): Promise<void> {
  const { command, cwd, env } = request;
  const directory = await stat(cwd).catch((error) => {
    if (is_errno(error, "ENOENT", "ENOTDIR")) return null;
    throw new SupervisorError(
      "directory_not_found",
      `${cwd} cannot be looked at (${trouble(error)}); give the agent a directory that it can be in with --cwd`,
    );
  });
  if (!directory?.isDirectory())
    throw new SupervisorError(
      "directory_not_found",
      `${cwd} is not a directory; give the agent one that exists with --cwd`,
    );
  const program = command[0] as string;
  const places = program.includes("/")
    ? [join(isAbsolute(program) ? "/" : cwd, program)]
    : (env.PATH ?? "/usr/local/bin:/usr/bin:/bin")
        .split(delimiter)
        .map((dir) => join(isAbsolute(dir) ? dir : join(cwd, dir), program));
  for (const place of places) if (await is_program(place)) return;
  throw new SupervisorError(
    "program_not_found",
    program.includes("/")
      ? `${program} cannot be run; is the path right, and the file executable?`
      : (missing_program(request, program) ??
          `no program '${program}' on the PATH; install it, or give its full path after --`),
  );
}

async function is_program(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
