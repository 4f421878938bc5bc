/**
 * Which cgroup hierarchies are mounted, and where this process is in each: facts from proc_pid_mountinfo(5) and cgroups(7). No policy.
 * Three set-ups are common: version 2 alone at /sys/fs/cgroup; version 1 hierarchies with version 2 beside them, mostly at
 * /sys/fs/cgroup/unified, without the controllers that version 1 has taken; none, or read-only, in containers.
 */
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { errno_of, is_errno } from "../contract/errors.ts";

export interface Hierarchy {
  version: 1 | 2;
  /** Version 1: the controllers that are mounted here. Version 2: empty, each directory says its own in cgroup.controllers. */
  controllers: string[];
  mount: string;
  /** The directory of this process's own group. */
  own: string;
}

/** Every hierarchy in which this process has a group that can be seen here. */
export function read_hierarchies(): Hierarchy[] {
  return parse_hierarchies(readFileSync("/proc/self/mountinfo", "utf8"), read_memberships());
}

function read_memberships(): string {
  try {
    return readFileSync("/proc/self/cgroup", "utf8");
  } catch (error) {
    if (is_errno(error, "ENOENT")) return ""; // a kernel without cgroups
    throw error;
  }
}

/** The pure part. `mountinfo` and `cgroup` are the texts of /proc/self/mountinfo and /proc/self/cgroup. */
export function parse_hierarchies(mountinfo: string, cgroup: string): Hierarchy[] {
  const groups = cgroup
    .split("\n")
    .map((line) => /^(\d+):([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, id, names, path]) => ({
      unified: id === "0" && names === "",
      names: names?.split(",") ?? [],
      path: path ?? "",
    }));
  const found: Hierarchy[] = [];
  for (const line of mountinfo.split("\n")) {
    // Most lines are of other kinds, and a host, which reads this in each deploy, should make little garbage.
    if (!line.includes(" - cgroup")) continue;
    const [before, after] = line.split(" - ");
    const fields = before?.split(" ") ?? [];
    const [type, , options] = after?.split(" ") ?? [];
    if (type !== "cgroup" && type !== "cgroup2") continue;
    const [root, mount] = [plain(fields[3] ?? ""), plain(fields[4] ?? "")];
    const mounted = options?.split(",") ?? [];
    const group = groups.find((one) =>
      type === "cgroup2" ? one.unified : !one.unified && one.names.every((name) => mounted.includes(name)),
    );
    const own = group && below(group.path, root, mount);
    if (!own || found.some((one) => one.own === own)) continue;
    found.push({ version: type === "cgroup2" ? 2 : 1, controllers: type === "cgroup2" ? [] : group.names, mount, own });
  }
  return found;
}

/** Where a group's path is under a mount that shows the hierarchy from `root` on; null when it is not in sight. */
function below(path: string, root: string, mount: string): string | null {
  // A group outside this cgroup namespace shows as /.. (cgroup_namespaces(7)).
  if (path.split("/").includes("..")) return null;
  if (root === "/") return path === "/" ? mount : mount + path;
  if (path !== root && !path.startsWith(`${root}/`)) return null;
  return mount + path.slice(root.length);
}

/** Spaces, tabs, newlines and backslashes stand as octal in mountinfo. */
const plain = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Null when groups can be made below this directory, else the errno that says why not. Proven by making one and removing it. */
export function why_not_writable(dir: string, name: string): string | null {
  const probe = `${dir}/${name}`;
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return null;
  } catch (error) {
    const errno = errno_of(error);
    if (errno === undefined) throw error;
    return errno;
  }
}
