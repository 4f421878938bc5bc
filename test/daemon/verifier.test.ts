/** Who holds a file is found out the same way by a look through /proc with lsof over those it names, and by lsof over everything. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { link, mkdir, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { deferred } from "../../src/contract/deferred.ts";
import type { FileVerdict } from "../../src/daemon/verdict.ts";
import { Verifier } from "../../src/daemon/verifier.ts";
import { type Looker, type LookForHolders, LookThread } from "../../src/drivers/look-thread.ts";
import type { Look } from "../../src/drivers/proc-holders.ts";
import { NO_MOUNT, needs, unmount } from "../support/disks.ts";
import {
  hold,
  hold_by_having_run,
  hold_by_running,
  hold_elsewhere,
  holders_directory,
  KINDS,
  LOOK_PROGRAM,
  let_go,
  NO_LEASE,
  remove_directory,
} from "../support/holders.ts";

const run = promisify(execFile);
let dir: string;
/** The thread that looks, with leases and without. */
let leasing: LookThread;
let plain: LookThread;
beforeAll(async () => {
  dir = await holders_directory();
  leasing = new LookThread({ program: LOOK_PROGRAM });
  plain = new LookThread({ program: LOOK_PROGRAM, no_leases: "this test wants none" });
});
afterAll(async () => {
  await Promise.all([leasing.close(), plain.close()]);
  await remove_directory(dir);
});
const look_for_holders: LookForHolders = (sought, trusted) => leasing.look(sought, trusted);

/**
 * A look that names nobody but the file's holders. Others' processes that begin or end meanwhile are named to be asked about, or, where they are many, make it be begun anew: how
 * often it is looked and asked is then theirs to say.
 */
const look_among_ours: LookForHolders = async (...asked) => {
  for (;;) {
    const look = await look_for_holders(...asked);
    if (look.ok) return { ...look, ask_about: [] };
    if (!look.restless) return look;
  }
};

let count = 0;
/** A verifier of the test's own; how it came to its answers is in `scopes` and `leases`. */
async function verifier(look: LookForHolders | null, again: Looker["again"] = (some) => leasing.again(some)) {
  // The threads are everybody's.
  const one = new Verifier(look && { look, again, close: async () => {} });
  const scopes: string[] = [];
  const leases: string[] = [];
  one.watch = {
    lsof_ran: (_ms, _ok, scope) => scopes.push(scope),
    looked: () => {},
    leased: (answer) => leases.push(answer),
    judged: () => {},
  };
  await one.open(join(dir, `canary-${count++}`), () => "other");
  onTestFinished(() => one.close());
  return { verifier: one, scopes, leases };
}

async function new_file(name = `file-${count++}`): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, Buffer.alloc(8192));
  return path;
}

/** What two ways must agree on. */
const told = (verdicts: readonly FileVerdict[]) =>
  verdicts.map(({ path, verdict, holders, reason }) => ({
    path,
    verdict,
    reason,
    holders: holders.map(({ pid, fd, access, command }) => `${pid} ${command} ${fd} ${access}`).sort(),
  }));

// A mount namespace of its own, in which the file has another name; only where one can be had.
const ELSEWHERE = NO_MOUNT ? [] : ["elsewhere open", "elsewhere map"];

const HELD_AS = [...KINDS, "run", "having run", "own-table", ...ELSEWHERE];

async function hold_as(kind: string, file: string) {
  if (kind === "run") return hold_by_running(file);
  if (kind === "having run") return hold_by_having_run(dir, file);
  if (kind.startsWith("elsewhere")) return hold_elsewhere(dir, kind.split(" ")[1] as "map", file);
  return hold(dir, kind as "map", file);
}

describe.each(NO_LEASE ? ["without leases"] : ["with leases", "without leases"])("%s", (way) => {
  test.each(HELD_AS)(
    "a holder of the kind '%s' is named by the look with lsof over those it names, and the file is clear when it is gone",
    async (kind) => {
      const file = await new_file();
      const holder = await hold_as(kind, file);
      const thread = way === "with leases" ? leasing : plain;
      const {
        verifier: looking,
        scopes,
        leases,
      } = await verifier(
        (...asked) => thread.look(...asked),
        (some) => thread.again(some),
      );
      const [verdict] = await looking.verify([file]);
      expect(verdict).toMatchObject({ verdict: "held" });
      expect(verdict?.holders.map(({ pid }) => pid)).toContain(holder.pid);
      // lsof over everything does not list threads by themselves.
      const { verifier: asking } = await verifier(null);
      if (kind !== "thread" && kind !== "own-table")
        expect(told(await asking.verify([file]))).toEqual(told([verdict as FileVerdict]));
      await let_go(holder);
      expect(told(await looking.verify([file]))).toEqual([{ path: file, verdict: "clear", reason: null, holders: [] }]);
      expect(scopes).toEqual(["candidates", "candidates"]);
      expect(leases).toEqual(
        way === "without leases"
          ? ["impossible", "impossible"]
          : [kind === "path" || kind === "neither" ? "granted" : "refused", "granted"],
      );
    },
  );
});

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "what somebody has whom nobody can name is not free: a descriptor on its way through a socket"),
  async () => {
    const file = await new_file();
    const holder = await hold(dir, "on-its-way", file);
    const { verifier: looking } = await verifier(look_for_holders);
    expect(await looking.verify([file])).toMatchObject([
      { verdict: "unknown", holders: [], reason: expect.stringContaining("the kernel refuses a lease on it") },
    ]);
    await let_go(holder);
    expect(await looking.verify([file])).toMatchObject([{ verdict: "clear" }]);
  },
);

test("no lease is asked for on files in use", async () => {
  const file = await new_file();
  const { verifier: looking, leases } = await verifier(look_for_holders);
  expect(await looking.verify([file], [], { lease: () => false })).toMatchObject([{ verdict: "clear" }]);
  expect(leases).toEqual([]);
});

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "while nobody is named, lsof is asked beside the look; a holder that comes is named all the same"),
  async () => {
    const [file, other] = [await new_file(), await new_file()];
    let looks = 0;
    const { verifier: looking, scopes } = await verifier(async (...asked) => {
      looks++;
      return look_among_ours(...asked);
    });
    await looking.verify([file]);
    await looking.verify([file]);
    expect(scopes).toEqual(Array.from({ length: looks }, () => "candidates"));
    const holder = await hold(dir, "path", other);
    expect(await looking.verify([file, other])).toMatchObject([
      { verdict: "clear" },
      { verdict: "held", holders: [{ pid: holder.pid }] },
    ]);
    // The first answer did not know of the holder, so that lsof was asked again.
    expect(scopes.length).toBeGreaterThan(looks);
  },
);

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "whom lsof saw beside a look, and who had let go when the kernel was asked, is no holder"),
  async () => {
    const file = await new_file();
    const asked = deferred<void>();
    let held: Awaited<ReturnType<typeof open>> | null = null;
    const { verifier: looking, scopes } = await verifier(async (...words) => {
      if (held) await asked.promise;
      await held?.close();
      return look_among_ours(...words);
    });
    await looking.verify([file]);
    const { lsof_ran } = looking.watch;
    looking.watch.lsof_ran = (...words) => {
      lsof_ran(...words);
      asked.resolve();
    };
    // lsof is asked about the daemon itself in any case.
    held = await open(file);
    expect(await looking.verify([file])).toMatchObject([{ verdict: "clear", holders: [] }]);
    expect(scopes).toEqual(["candidates", "candidates", "candidates"]);
  },
);

test.skipIf(NO_LEASE)(
  needs(NO_LEASE, "hosts are left out of a look only where leases tell of what they have"),
  async () => {
    const file = await new_file();
    const holder = await hold(dir, "path", file);
    const seen = async (thread: LookThread) => {
      const { dev: device, ino: inode } = await stat(file, { bigint: true });
      const look = await thread.look([{ device, inode, lease_by: file }], [holder.pid as number]);
      return look.ok && look.matches.map(({ pid }) => pid);
    };
    expect(await seen(leasing)).toEqual([]);
    expect(await seen(plain)).toEqual([holder.pid]);
  },
);

test("a holder is found after the file was renamed, and one of a second name of it", async () => {
  const file = await new_file();
  const holder = await hold(dir, "open", file);
  const [renamed, second] = [`${file}-renamed`, `${file}-second`];
  await rename(file, renamed);
  await link(renamed, second);
  const { verifier: looking } = await verifier(look_for_holders);
  for (const path of [renamed, second])
    expect(await looking.verify([path])).toMatchObject([{ verdict: "held", holders: [{ pid: holder.pid }] }]);
});

test("who is in a directory is named, by lsof over everything", async () => {
  const place = join(dir, `place-${count++}`);
  await mkdir(place);
  const child = spawn("cat", [], { cwd: place, stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => let_go(child));
  child.stdin.write("ready\n");
  await once(child.stdout, "data");
  const { verifier: looking, scopes } = await verifier(look_for_holders);
  expect(await looking.verify([place])).toMatchObject([{ verdict: "held", holders: [{ pid: child.pid, fd: "cwd" }] }]);
  expect(scopes).toEqual(["everything"]);
});

test("a file that is handed from parent to child each millisecond is never clear", async () => {
  const file = await new_file();
  await hold(dir, "hop", file);
  const { verifier: looking } = await verifier(look_for_holders);
  try {
    for (let i = 0; i < 3; i++) {
      const [verdict] = await looking.verify([file]);
      expect(verdict?.verdict).not.toBe("clear");
    }
  } finally {
    // Which ends it.
    await rm(file);
  }
});

test("a process that appears while it is looked is looked at: the file's new holder is named, whoever had it first", async () => {
  const file = await new_file();
  const first = await hold(dir, "open", file);
  let second: Awaited<ReturnType<typeof hold>> | undefined;
  // Processes are listed at once: the second is not among them, and the first is gone before all of them have been looked at.
  const look: LookForHolders = async (ids) => {
    const looking = look_for_holders(ids);
    if (!second) {
      second = await hold(dir, "map", file);
      await let_go(first);
    }
    return looking;
  };
  const { verifier: looking } = await verifier(look);
  const [verdict] = await looking.verify([file]);
  expect(verdict?.holders.map(({ pid }) => pid)).toContain(second?.pid);
});

test.skipIf(NO_MOUNT)(
  needs(
    NO_MOUNT,
    "what goes by a file's own name and number, and is no holder by lsof, is unknown: here a file of another file system",
  ),
  async () => {
    const files: string[] = [];
    for (const place of [join(dir, "disk-1"), join(dir, "disk-2")]) {
      await mkdir(place);
      await run("mount", ["-t", "tmpfs", "none", place]);
      onTestFinished(() => unmount(place));
      // The first file of each: both have the same number.
      files.push(await new_file(join(basename(place), "twin")));
    }
    const [file, twin] = files as [string, string];
    // In reverse order: it is gone when its file system is unmounted.
    const holder = await hold(dir, "open", twin);
    const { verifier: looking } = await verifier(look_for_holders);
    expect(await looking.verify([file])).toMatchObject([
      {
        verdict: "unknown",
        holders: [],
        reason: expect.stringContaining(`process ${holder.pid}, which lsof does not`),
      },
    ]);
    await let_go(holder);
    expect(await looking.verify([file])).toMatchObject([{ verdict: "clear" }]);
  },
);

test.each<[string, LookForHolders]>([
  ["cannot look", async () => ({ ok: false, reason: "no /proc" })],
  ["does not even see what the supervisor itself has open", async () => ({ ok: true, matches: [], ask_about: [] })],
])("a look that %s decides nothing: lsof over everything does", async (_what, look) => {
  const file = await new_file();
  const holder = await hold(dir, "open", file);
  const { verifier: looking, scopes } = await verifier(look);
  expect(await looking.verify([file])).toMatchObject([{ verdict: "held", holders: [{ pid: holder.pid }] }]);
  expect(scopes).toEqual(["everything"]);
});

test("a process that may not be looked at is asked about by lsof", async () => {
  const file = await new_file();
  const holder = await hold(dir, "open", file);
  const look: LookForHolders = async ([canary]) => ({
    ok: true,
    matches: [
      { pid: process.pid, inode: canary?.inode ?? 0n, device: null, path: "canary", mapped: false, in_thread: false },
    ],
    ask_about: [holder.pid as number],
  });
  const { verifier: looking, scopes } = await verifier(look);
  expect(await looking.verify([file])).toMatchObject([{ verdict: "held", holders: [{ pid: holder.pid }] }]);
  expect(scopes).toEqual(["candidates"]);
});

test("asks that come while one runs share the next look", async () => {
  const files = await Promise.all(Array.from({ length: 20 }, () => new_file()));
  let looks = 0;
  const { verifier: looking, scopes } = await verifier((ids) => {
    looks++;
    return look_among_ours(ids);
  });
  const verdicts = await Promise.all(files.map((file) => looking.verify([file])));
  expect(verdicts.flat().map(({ verdict }) => verdict)).toEqual(files.map(() => "clear"));
  expect({ looks, scopes }).toEqual({ looks: scopes.length, scopes: scopes.map(() => "candidates") });
  expect(looks).toBeLessThanOrEqual(3);
});

test("both ways agree on many files with many holders of random kinds, while holders come and go", async () => {
  const files = await Promise.all(Array.from({ length: 8 }, () => new_file()));
  // Threads aside: lsof over everything does not list them.
  const kinds = fc.constantFrom(...KINDS.filter((kind) => kind !== "thread"));
  const plan = fc.array(fc.tuple(kinds, fc.nat(files.length - 1)), { minLength: 4, maxLength: 12 });
  const { verifier: looking } = await verifier(look_for_holders);
  const { verifier: asking } = await verifier(null);
  await fc.assert(
    fc.asyncProperty(plan, fc.nat(3), async (wanted, goes) => {
      const holders = await Promise.all(wanted.map(([kind, index]) => hold(dir, kind, files[index] as string)));
      try {
        for (const one of [...holders.keys()]) {
          expect(told(await looking.verify(files))).toEqual(told(await asking.verify(files)));
          if (one >= goes) break;
          await let_go(holders[one] as (typeof holders)[number]);
        }
      } finally {
        await Promise.all(holders.map(let_go));
      }
    }),
    { numRuns: 8 },
  );
});

test("a second name's holder who hands it on each millisecond is never missed: the file is not clear", async () => {
  const file = await new_file();
  const second = `${file}-second`;
  await link(file, second);
  await hold(dir, "hop", second);
  const { verifier: looking } = await verifier(look_for_holders);
  try {
    for (let i = 0; i < 3; i++) expect((await looking.verify([file]))[0]?.verdict).not.toBe("clear");
  } finally {
    // Which ends it.
    await rm(second);
  }
});

test("one look that fails altogether is no verdict for those who shared it, and nothing to those who come after", async () => {
  const file = await new_file();
  const begun = deferred<void>();
  const fails = deferred<Look>();
  let looks = 0;
  const { verifier: looking } = await verifier((ids) => {
    if (++looks > 1) return look_for_holders(ids);
    begun.resolve();
    return fails.promise;
  });
  const first = looking.verify([file]);
  await begun.promise;
  const second = looking.verify([file]);
  fails.reject(new Error("EMFILE: too many open files"));
  expect(await first).toMatchObject([{ verdict: "unknown", reason: expect.stringContaining("EMFILE") }]);
  expect(await second).toMatchObject([{ verdict: "clear" }]);
  expect(await looking.verify([file])).toMatchObject([{ verdict: "clear" }]);
});

test.each<[string, LookForHolders | null]>([
  ["a look", look_for_holders],
  ["lsof over everything", null],
])(
  "with %s, a file that goes away while it is asked for takes the verdict from nobody who shares the answer",
  async (_way, look) => {
    const [file, held, going] = [await new_file(), await new_file(), await new_file()];
    const holder = await hold(dir, "open", held);
    const { verifier: looking } = await verifier(look);
    // Behind one that runs, so that it is gone when its turn comes.
    const first = looking.verify([file]);
    const shared = [looking.verify([file, held]), looking.verify([going])];
    await rm(going);
    await first;
    expect(await Promise.all(shared)).toMatchObject([
      [{ verdict: "clear" }, { verdict: "held", holders: [{ pid: holder.pid }] }],
      [{ verdict: "clear", holders: [] }],
    ]);
  },
);

test.skipIf(NO_MOUNT)(
  needs(
    NO_MOUNT,
    "where a mapping shows another device than stat does (overlay), whoever has mapped a file under a second name keeps it",
  ),
  async () => {
    const place = join(dir, `overlay-${count++}`);
    const at = (name: string) => join(place, name);
    await mkdir(place);
    await run("mount", ["-t", "tmpfs", "none", place]);
    onTestFinished(() => unmount(place));
    for (const name of ["lower", "upper", "mnt"]) await mkdir(at(name));
    await run("mount", ["-t", "tmpfs", "none", at("upper")]);
    onTestFinished(() => unmount(at("upper")));
    for (const name of ["files", "work"]) await mkdir(at(`upper/${name}`));
    const options = `lowerdir=${at("lower")},upperdir=${at("upper/files")},workdir=${at("upper/work")},xino=off`;
    await run("mount", ["-t", "overlay", "-o", options, "none", at("mnt")]);
    onTestFinished(() => unmount(at("mnt")));
    const [file, second] = [at("mnt/file"), at("mnt/second")];
    await writeFile(file, Buffer.alloc(8192));
    const { verifier: looking } = await verifier(look_for_holders);
    const named = await hold(dir, "map", file);
    expect(await looking.verify([file])).toMatchObject([
      { verdict: "unknown", reason: expect.stringContaining(`${named.pid}`) },
    ]);
    await let_go(named);
    await link(file, second);
    const holder = await hold(dir, "map", second);
    expect(await looking.verify([file])).toMatchObject([
      { verdict: "unknown", reason: expect.stringContaining(`${holder.pid}`) },
    ]);
    await let_go(holder);
    expect(await looking.verify([file])).toMatchObject([{ verdict: "clear" }]);
  },
);

test("more files than fit on one command line are asked for all the same", async () => {
  const place = join(dir, `deep-${count++}`, ...Array.from({ length: 15 }, () => "d".repeat(200)));
  await mkdir(place, { recursive: true });
  const files = await Promise.all(
    Array.from({ length: 800 }, async (_, index) => {
      const path = join(place, `${index}-${"f".repeat(200)}`);
      await writeFile(path, "");
      return path;
    }),
  );
  const last = files.at(-1) as string;
  const holder = await hold(dir, "open", last);
  const { verifier: looking } = await verifier(look_for_holders);
  const verdicts = await looking.verify(files);
  expect(verdicts.filter(({ verdict }) => verdict !== "clear")).toMatchObject([
    { path: last, verdict: "held", holders: [{ pid: holder.pid }] },
  ]);
});
