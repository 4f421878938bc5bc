/** Waits for a new host's socket to appear. The socket's name appears when it accepts, so that one look after each change is enough. */
import { type FSWatcher, watch } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { is_errno, is_used_up, SupervisorError, trouble } from "../contract/errors.ts";
import type { HostEvent } from "../contract/host-protocol.ts";
import { is_alive, process_ref_of } from "../drivers/procfs.ts";
import { HostLink } from "./host-link.ts";
import type { Services } from "./services.ts";

/** A host boots in about 100 ms; on a machine where a hundred boot at once, in seconds. In ms. */
const BOOT_DEADLINE_MS = 20_000;
/** How often is looked whether the booting host still lives: nobody tells of the death of another's child. In ms. */
const LOOK_MS = 50;

/** Resolves with the first connection: a spare host leaves with it, so that it must not be given up in between. */
export async function await_host(
  services: Services,
  { id, on_event, signal }: { id: string; on_event: (event: HostEvent) => void; signal?: AbortSignal },
  { socket, pane_pid, stderr }: { socket: string; pane_pid: number; stderr: string },
): Promise<HostLink> {
  const pane = process_ref_of(pane_pid);
  const changes = watch_names(services.runtime_dir);
  let settle = () => {};
  try {
    return await new Promise<HostLink>((resolve, reject) => {
      let connected = false;
      const connectable = () =>
        HostLink.connect(id, socket, on_event).then(
          (link) => {
            if (connected) link.close();
            connected = true;
            resolve(link);
          },
          (error) => {
            if (!is_errno(error, "ENOENT")) reject(error);
          },
        );
      const fail = (text: string) => reject(new SupervisorError("host_failed", text));
      changes?.on("change", (_event, name) => {
        if (name === basename(socket)) void connectable();
      });
      changes?.on("error", reject);
      const look = setInterval(() => {
        try {
          if (!pane || !is_alive(pane)) fail(`its host ended before it was ready`);
        } catch (error) {
          reject(error);
        }
        if (!changes) void connectable();
      }, LOOK_MS);
      const deadline = setTimeout(() => fail(`its host was not ready in ${BOOT_DEADLINE_MS} ms`), BOOT_DEADLINE_MS);
      const give_up = () => fail("its host is not wanted any more");
      signal?.addEventListener("abort", give_up);
      if (signal?.aborted) give_up();
      settle = () => {
        clearInterval(look);
        clearTimeout(deadline);
        signal?.removeEventListener("abort", give_up);
      };
      void connectable();
    });
  } catch (error) {
    if (is_used_up(error)) throw new SupervisorError("out_of_resources", trouble(error));
    const said = await readFile(stderr, "utf8").catch(() => "");
    const lines = said.split("\n");
    // Node shows a line of its source before the error's own.
    const line =
      [/^\w*Error\b/, /Error|error/].flatMap((one) => lines.find((text) => one.test(text)) ?? [])[0] ?? lines[0];
    throw new SupervisorError("host_failed", `${(error as Error).message}${line ? ` (${line.trim()})` : ""}`);
  } finally {
    settle();
    changes?.close();
    await rm(stderr, { force: true });
  }
}

/** Null when no inotify instance is left for us (inotify(7), max_user_instances): then it is looked each LOOK_MS. */
function watch_names(dir: string): FSWatcher | null {
  try {
    return watch(dir);
  } catch (error) {
    if (is_errno(error, "EMFILE", "ENFILE", "ENOSPC")) return null;
    throw error;
  }
}
