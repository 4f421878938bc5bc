/** fsync(2) of one file or directory, as a test wants it: for what depends on the step at which a disk fails or stands still. */
import { open, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { vi } from "vitest";
import { deferred } from "../../src/contract/deferred.ts";

/** Before each sync `work` is done from now on, told the real path of what is synced; what it throws is the sync's failure. */
export async function before_sync(work: (path: string) => void | Promise<void>) {
  const handle = await open(tmpdir());
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync } = prototype;
  return vi.spyOn(prototype, "sync").mockImplementation(async function (this: unknown) {
    await work(await readlink(`/proc/self/fd/${(this as { fd: number }).fd}`));
    return sync.call(this);
  });
}

const eio = () => Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });

/** It fails from now on. */
export const failing_sync_of = (path: string) =>
  before_sync((synced) => {
    if (synced === path) throw eio();
  });

/** The disk stands still at it, from now on until `go_on`. */
export async function standing_sync_of(path: string) {
  const gate = deferred<void>();
  const reached = deferred<void>();
  const spy = await before_sync(async (synced) => {
    if (synced !== path) return;
    reached.resolve();
    await gate.promise;
  });
  return {
    /** Somebody waits for it. */
    reached: reached.promise,
    go_on: () => {
      spy.mockRestore();
      gate.resolve();
    },
    /** As `go_on`, but what stood still fails. */
    fail: () => {
      spy.mockRestore();
      gate.reject(eio());
    },
  };
}
