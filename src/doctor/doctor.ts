/** What `supervisor doctor` looks at: it must answer when no daemon can. */
import { access, constants } from "node:fs/promises";
import { resolve } from "node:path";
import { find_containment } from "../containment/place.ts";
import { message_of } from "../contract/errors.ts";
import { cgroup_directory } from "../contract/paths.ts";
import { lsof_version } from "../drivers/lsof.ts";
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
  verification: "auto" | "lsof",
): Promise<Check[]> {
  return Promise.all([
    check("node", async () => process.version),
    check("tmux", async () => (await tmux_version()) ?? fail("not installed; for example: apt-get install tmux")),
    check("lsof", async () => (await lsof_version()) ?? fail("not installed; for example: apt-get install lsof")),
    check("/proc", async () => `boot ${boot_id()}`),
    check("verification", async () => explain_verification(verification)),
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

/** Neither way is missing anything: one is slower. */
function explain_verification(setting: "auto" | "lsof"): string {
  const why = setting === "lsof" ? "SUPERVISOR_VERIFICATION=lsof asks for it" : why_not_look();
  return why === null
    ? "a look through /proc names who may hold a file, lsof over those signs, and lsof over everything looks over it afterwards"
    : `lsof over everything decides who holds a file, which takes longer: ${why}`;
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
