/**
 * A lease as a witness: the kernel grants F_WRLCK (fcntl(2), "Leases") on a regular file only while no other open file description of it exists, in whatever process,
 * container or mount: a descriptor, a mapping, a program that runs from it, a descriptor on its way through a socket, a loop device (fs/locks.c, `check_conflicting_open`;
 * tried on Linux 6.18). It costs 0.04 ms, however many processes there are. Not counted, and so not seen: descriptors that can neither read nor write (O_PATH, access mode 3).
 *
 * Run by the thread that looks (`look-thread`), in one synchronous turn, so that a lease is held for some microseconds. Node has no fcntl; koffi makes the call. Where that
 * package cannot be loaded, on a file system that is not known, and wherever the witness does not stand its tests, there is no answer, and others must be asked.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { constants as system } from "node:os";
import { dirname } from "node:path";
import { errno_of, is_errno, trouble } from "../contract/errors.ts";
import type { FileId } from "./lsof.ts";
import { type Mount, mount_of } from "./mounts.ts";
import { read_fdinfo } from "./proc-open-files.ts";

/** `refused`: somebody has it. `impossible`: nobody can tell this way, for a reason in words. */
export type LeaseAnswer = { answer: "granted" | "refused" } | { answer: "impossible"; reason: string };

/** Linux's own numbers (asm-generic/fcntl.h), the same wherever Node runs. */
const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Without O_DIRECTORY, whose number differs between architectures and which goes with it. */
const O_TMPFILE = 0o20000000;

/**
 * Where an inode of a file system is one inode of the kernel, all of whose users it counts. On an overlay a lease does not see who has the file of a layer open; a network's
 * server does not see this machine's, or the other way around.
 */
const TRUSTED = new Set(["ext4", "xfs", "btrfs", "tmpfs"]);

/** As O_RDONLY. A FIFO in its place, or somebody else's lease, is not waited for. */
const ONLY_LOOK = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;

/** fcntl(2) with a number: 0, or the error's. */
type Fcntl = (fd: number, command: number, argument: number) => number;

/** The witness, or why there is none. */
export async function load_leases(): Promise<Leases | string> {
  if (process.platform !== "linux") return "there are leases on Linux alone";
  try {
    const { default: koffi } = await import("koffi");
    // Of the C library that Node itself runs with.
    const call = koffi.load(null).func("int fcntl(int fd, int command, ...)");
    return new Leases((fd, command, argument) => (call(fd, command, "int", argument) === 0 ? 0 : koffi.errno()));
  } catch (error) {
    return `koffi cannot be loaded: ${trouble(error)}`;
  }
}

/** False when the package is not there at all; one that is there and does not load is another trouble. */
export async function has_lease_package(): Promise<boolean> {
  return import("koffi").then(
    () => true,
    (error) => !is_errno(error, "ERR_MODULE_NOT_FOUND"),
  );
}

/** Why a lease says nothing of files on this mount, or null. */
export function why_no_lease_on(mount: Mount | null | undefined): string | null {
  if (mount && TRUSTED.has(mount.type)) return null;
  return `a lease is not trusted on this file system (${mount?.type ?? "unknown"})`;
}

export class Leases {
  constructor(private readonly fcntl: Fcntl) {}

  /**
   * Does nobody have this file? Only a file that is still the one with this id is answered for. `while_held` is for tests: it runs between the grant and its end.
   */
  ask(path: string, id: FileId, mounts: readonly Mount[], while_held: () => void = () => {}): LeaseAnswer {
    // By the name first: what is not trusted is not opened, since a dead mount would be waited for.
    const untrusted = why_no_lease_on(mount_of(mounts, path));
    if (untrusted !== null) return impossible(untrusted);
    let own: number;
    try {
      own = openSync(path, ONLY_LOOK);
    } catch (error) {
      return not_opened(error);
    }
    try {
      return this.ask_of(own, path, id, mounts, while_held);
    } catch (error) {
      return impossible(trouble(error));
    } finally {
      closeSync(own);
    }
  }

  private ask_of(own: number, path: string, id: FileId, mounts: readonly Mount[], while_held: () => void): LeaseAnswer {
    const facts = fstatSync(own, { bigint: true });
    if (!facts.isFile() || facts.dev !== id.device || facts.ino !== id.inode)
      return impossible("another file is in its place");
    const on = read_fdinfo("self", `${own}`)?.mount;
    const untrusted = why_no_lease_on(mounts.find((one) => one.id === on));
    if (untrusted !== null) return impossible(untrusted);
    // Whoever opens the file meanwhile has the kernel signal this process, by SIGIO unless told otherwise, which would end it. SIGURG is of no consequence (signal(7)).
    const unsignalled = this.fcntl(own, F_SETSIG, system.signals.SIGURG);
    if (unsignalled !== 0) return impossible(`F_SETSIG failed (${name_of(unsignalled)})`);
    const blind = this.is_blind(own);
    if (blind !== null) return blind;
    const error = this.take(own, while_held);
    if (error === 0) return { answer: "granted" };
    if (error !== system.errno.EAGAIN) return impossible(`a lease failed (${name_of(error)})`);
    return this.why_never(path) ?? { answer: "refused" };
  }

  /** Each time it is proven on the very file that the witness sees: beside a second description of ours a lease must be refused. Null when it is. */
  private is_blind(own: number): LeaseAnswer | null {
    let second: number;
    try {
      second = openSync(`/proc/self/fd/${own}`, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      return not_opened(error);
    }
    try {
      const error = this.take(own);
      if (error === system.errno.EAGAIN) return null;
      return impossible(
        error === 0 ? "a lease is granted while the file is open" : `a lease failed (${name_of(error)})`,
      );
    } finally {
      closeSync(second);
    }
  }

  /** A refusal is believed where a file that nobody can have, one without a name, is granted one. Null when it is. */
  private why_never(path: string): LeaseAnswer | null {
    let nameless: number;
    try {
      nameless = openSync(dirname(path), O_TMPFILE | constants.O_DIRECTORY | constants.O_RDWR, 0o600);
    } catch (error) {
      return impossible(`a refused lease could not be tested: ${trouble(error)}`);
    }
    try {
      this.fcntl(nameless, F_SETSIG, system.signals.SIGURG);
      const error = this.take(nameless);
      return error === 0 ? null : impossible(`a lease is refused (${name_of(error)}) even on a file that nobody has`);
    } finally {
      closeSync(nameless);
    }
  }

  /** Takes the lease and gives it back: 0, or the error's number. */
  private take(fd: number, while_held: () => void = () => {}): number {
    const error = this.fcntl(fd, F_SETLEASE, F_WRLCK);
    if (error !== 0) return error;
    try {
      while_held();
    } finally {
      this.fcntl(fd, F_SETLEASE, F_UNLCK);
    }
    return 0;
  }
}

const impossible = (reason: string): LeaseAnswer => ({ answer: "impossible", reason });

/** EAGAIN: somebody has a lease of it, and so has it open. */
const not_opened = (error: unknown): LeaseAnswer =>
  errno_of(error) === "EAGAIN" ? { answer: "refused" } : impossible(`it could not be opened: ${trouble(error)}`);

const name_of = (error: number) =>
  Object.entries(system.errno).find(([, number]) => number === error)?.[0] ?? `error ${error}`;
