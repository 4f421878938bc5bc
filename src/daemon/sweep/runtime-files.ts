/** Sockets, named pipes and stderr files of hosts, in the private runtime directory, that no unfinished agent has and on which nobody listens. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { is_errno } from "../../contract/errors.ts";
import { short_agent_id } from "../../contract/ids.ts";
import { remove_in_place } from "../../drivers/in-place.ts";
import { is_unfinished } from "../ending/end.ts";
import { somebody_listens } from "./somebody-listens.ts";
import type { Sweep } from "./sweep.ts";

/** A host's socket, its name before it accepts, its named pipes, its stderr: `<HHMMSS>-<6 hex>` and an ending. */
export const HOST_FILE = /^(\d{6}-[0-9a-f]{6})\.(?:sock|sock\.new|sock\.out|err|life|sizes?)$/;

export async function runtime_files(sweep: Sweep): Promise<void> {
  const { registry, runtime_dir, spares } = sweep.services;
  const unfinished = new Set(
    registry
      .agents()
      .filter(is_unfinished)
      .map((agent) => short_agent_id(agent.id)),
  );
  for (const name of await readdir(runtime_dir)) {
    const owner = HOST_FILE.exec(name)?.[1];
    if (!owner || unfinished.has(owner) || spares.owns(owner)) continue;
    const path = join(runtime_dir, name);
    const found = { what: "runtime_file", path, why: "it is of a host that no unfinished agent has" } as const;
    const sockets = [`${owner}.sock`, `${owner}.sock.new`].map((one) => join(runtime_dir, one));
    if (registry.left_alone.size > 0)
      sweep.leave({ ...found, why: `${found.why}; but a registry cannot be read, and may be the one that knows it` });
    else if ((await Promise.all(sockets.map(somebody_listens))).includes(true))
      sweep.leave({ ...found, why: `${found.why}; but somebody listens there` });
    else {
      const facts = await lstat(path).catch((error) => {
        if (is_errno(error, "ENOENT")) return null;
        throw error;
      });
      if (facts && sweep.is_settled(found, facts.mtimeMs)) await sweep.dispose(found, () => remove_in_place(path));
    }
  }
}
