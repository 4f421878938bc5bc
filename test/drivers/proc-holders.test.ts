/** A look through /proc must not keep the daemon from anything else. */
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { deferred } from "../../src/contract/deferred.ts";
import { look_for_holders, make_look, patiently } from "../../src/drivers/proc-holders.ts";
import { hold, holders_directory, remove_directory } from "../support/holders.ts";

let dir: string;
beforeAll(async () => {
  dir = await holders_directory();
});
afterAll(() => remove_directory(dir));

async function new_file(name: string) {
  const path = join(dir, name);
  await writeFile(path, Buffer.alloc(8192));
  const { dev, ino } = await stat(path, { bigint: true });
  return { path, id: { device: dev, inode: ino } };
}

test("a process with thousands of descriptors is looked at in slices: other work of the daemon has its turns meanwhile", async () => {
  const { path, id } = await new_file("many");
  const holder = await hold(dir, "many", path);
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  onTestFinished(() => clearInterval(count));
  const before = process.cpuUsage();
  const look = await look_for_holders([id]);
  const { user, system } = process.cpuUsage(before);
  const matches = look.ok ? look.matches.filter(({ pid }) => pid === holder.pid) : [];
  // However many descriptors: it is one file under one name.
  expect(matches).toMatchObject([{ inode: id.inode, path, mapped: false, in_thread: false }]);
  // Slices of 4 ms of work: the time that others take of the CPU is no matter.
  expect(turns).toBeGreaterThan((user + system) / 1000 / 40);
});

test("a process whose mappings do not come keeps nobody for long: there is no look until they come, and then there is one", async () => {
  const { id } = await new_file("stuck");
  const stuck = deferred<Buffer>();
  const asked: string[] = [];
  const look = make_look(
    patiently((place) => {
      asked.push(place);
      return place === `${process.pid}` ? stuck.promise : Promise.resolve(Buffer.from("0-1 r--p 00000000 00:00 0 \n"));
    }, 50),
  );
  const reason = `/proc could not be read: the mappings of process ${process.pid} do not come`;
  expect(await look([id])).toEqual({ ok: false, reason });
  asked.length = 0;
  expect(await look([id])).toEqual({ ok: false, reason });
  // Not asked again: each would hold a thread of the pool.
  expect(asked).toEqual([]);
  stuck.resolve(Buffer.from("0-1 r--p 00000000 00:00 0 \n"));
  expect(await look([id])).toMatchObject({ ok: true });
});
