/** Sockets, named pipes and stderr files of hosts, in the private runtime directory, that no unfinished agent has and on which nobody listens. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { short_agent_id } from "../../contract/ids.ts";
import { remove_in_place, what_stands_at } from "../../drivers/in-place.ts";
import { is_unfinished } from "../ending/end.ts";
import type { Services } from "../services.ts";
import { somebody_listens } from "./somebody-listens.ts";
import type { Sweep } from "./sweep.ts";

/** A host's socket, its name before it accepts, its named pipes, its stderr: `<HHMMSS>-<6 hex>` and an ending. */
const HOST_FILE = /^(\d{6}-[0-9a-f]{6})\.(?:sock|sock\.new|sock\.out|err|life|sizes?)$/;

/** A file of a host that no unfinished agent has, and that is no spare's. */
interface HostFile {
  name: string;
  path: string;
  /** True while somebody accepts on the host's socket. */
  somebody_listens(): Promise<boolean>;
}

/** What the runtime directory has of hosts that belong to nobody. */
export async function files_of_nobody({ registry, runtime_dir, spares }: Services): Promise<HostFile[]> {
  const unfinished = new Set(
    registry
      .agents()
      .filter(is_unfinished)
      .map((agent) => short_agent_id(agent.id)),
  );
  return (await readdir(runtime_dir)).flatMap((name) => {
    const owner = HOST_FILE.exec(name)?.[1];
    if (!owner || unfinished.has(owner) || spares.owns(owner)) return [];
    const sockets = [`${owner}.sock`, `${owner}.sock.new`].map((one) => join(runtime_dir, one));
    const listen = async () => (await Promise.all(sockets.map(somebody_listens))).includes(true);
    return [{ name, path: join(runtime_dir, name), somebody_listens: listen }];
  });
}

export async function runtime_files(sweep: Sweep): Promise<void> {
  const { registry } = sweep.services;
  for (const file of await files_of_nobody(sweep.services)) {
    const { path } = file;
    const found = { what: "runtime_file", path, why: "it is of a host that no unfinished agent has" } as const;
    if (registry.left_alone.size > 0)
      sweep.leave({ ...found, why: `${found.why}; but a registry cannot be read, and may be the one that knows it` });
    else if (await file.somebody_listens()) sweep.leave({ ...found, why: `${found.why}; but somebody listens there` });
    else {
      const facts = await what_stands_at(path);
      if (facts && sweep.is_settled(found, facts.mtimeMs)) await sweep.dispose(found, () => remove_in_place(path));
    }
  }
}
