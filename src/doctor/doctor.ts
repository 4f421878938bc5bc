/** What `supervisor doctor` looks at: it must answer when no daemon can. */
import { access, constants, realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { find_containment } from "../containment/place.ts";
import { is_errno, message_of } from "../contract/errors.ts";
import { cgroup_directory } from "../contract/paths.ts";
import { has_lease_package, load_leases, why_no_lease_on } from "../drivers/lease.ts";
import { lsof_version } from "../drivers/lsof.ts";
import { list_mounts, mount_of } from "../drivers/mounts.ts";
import { why_not_look } from "../drivers/proc-holders.ts";
import { boot_id } from "../drivers/procfs.ts";
import { tmux_version } from "../drivers/tmux/server.ts";

export interface Check {
  name: string;
  ok: boolean;
  detail: string;
}

export async function examine(
  workspace: string,
  setting: "auto" | "cookie",
  verification: "auto" | "proc" | "lsof",
): Promise<Check[]> {
  return Promise.all([
    check("node", async () => process.version),
    check("tmux", async () => (await tmux_version()) ?? fail("not installed; for example: apt-get install tmux")),
    check("lsof", async () => (await lsof_version()) ?? fail("not installed; for example: apt-get install lsof")),
    check("/proc", async () => `boot ${boot_id()}`),
    check("verification", async () => explain_verification(verification, workspace)),
    check("workspace", async () => {
      try {
        await access(workspace, constants.W_OK);
        return workspace;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return `${workspace} (made at the first start)`;
        throw error;
      }
    }),
    check("containment", async () => {
      const directory = cgroup_directory(process.getuid?.() ?? 0, resolve(workspace));
      return find_containment(setting, directory, { take: false }).report.detail;
    }),
  ]);
}

/** No way is missing anything that the next is needed for: each is slower than the one before. */
async function explain_verification(setting: "auto" | "proc" | "lsof", workspace: string): Promise<string> {
  const why = setting === "lsof" ? "SUPERVISOR_VERIFICATION=lsof asks for it" : why_not_look();
  if (why !== null) return `lsof over everything decides who holds a file, which takes longer: ${why}`;
  const look =
    "a look through /proc names who may hold a file, lsof over those signs, and lsof over everything looks over it afterwards";
  const none = setting === "proc" ? "SUPERVISOR_VERIFICATION=proc asks for none" : await why_no_leases(workspace);
  return none === null
    ? `a lease tells whether anybody has a file; ${look}`
    : `${look}; without leases, which takes longer: ${none}`;
}

/** An optional package may be left out, by npm or by who installs. What is lost with it: docs/limits.md. */
const NO_KOFFI =
  "the optional package koffi is not installed, and who has a file where this user's lsof does not see it (another container, on its way through a socket) goes unseen; 'npm install --include=optional' in the clone that this command comes from, and a new start, bring leases back";

/** The file system is that of the nearest directory that is there. */
async function why_no_leases(workspace: string): Promise<string | null> {
  const leases = await load_leases();
  if (typeof leases === "string") return (await has_lease_package()) ? leases : NO_KOFFI;
  return why_no_lease_on(mount_of(list_mounts(), await existing(workspace)));
}

async function existing(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!is_errno(error, "ENOENT")) throw error;
    return existing(dirname(path));
  }
}

function fail(text: string): never {
  throw new Error(text);
}

async function check(name: string, look: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, detail: await look() };
  } catch (error) {
    return { name, ok: false, detail: message_of(error) };
  }
}
