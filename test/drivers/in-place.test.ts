import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { open_in_place, read_in_place, remove_in_place, replace_in_place } from "../../src/drivers/in-place.ts";

let root: string;
let inside: string;
let outside: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "place-")));
  inside = join(root, "inside");
  outside = join(root, "outside");
  await mkdir(inside);
  await mkdir(outside);
  await writeFile(join(outside, "file"), "precious");
});
afterEach(() => rm(root, { recursive: true }));
const out_of_place = { code: "out_of_place" };

test("a link in a file's place is neither read nor written; a replacement replaces the link itself", async () => {
  await symlink(join(outside, "file"), join(inside, "file"));
  await expect(read_in_place(join(inside, "file"))).rejects.toMatchObject(out_of_place);
  await expect(open_in_place(join(inside, "file"), constants.O_WRONLY | constants.O_CREAT)).rejects.toMatchObject(
    out_of_place,
  );
  await replace_in_place(join(inside, "file"), "new", "file.bak");
  expect((await lstat(join(inside, "file"))).mode & 0o777).toBe(0o600);
  expect(await readFile(join(outside, "file"), "utf8")).toBe("precious");
  expect(await readdir(inside)).toEqual(["file"]);
});

test("a link in a directory's place leads nowhere: nothing is read, made or removed through it", async () => {
  await symlink(outside, join(root, "link"));
  const path = join(root, "link", "file");
  await expect(read_in_place(path)).rejects.toMatchObject(out_of_place);
  await expect(replace_in_place(path, "new")).rejects.toMatchObject(out_of_place);
  await expect(remove_in_place(path)).rejects.toMatchObject(out_of_place);
  await expect(read_in_place(`${root}/link/../outside/file`)).rejects.toMatchObject(out_of_place);
  expect(await readFile(join(outside, "file"), "utf8")).toBe("precious");
});

test("links that are planted beside a file, where its next content is written, are not followed", async () => {
  await writeFile(join(inside, "file"), "old");
  for (const name of ["file.new", "file.bak", "file.bak.new"]) await symlink(join(outside, "file"), join(inside, name));
  await replace_in_place(join(inside, "file"), "new", "file.bak");
  expect(await readFile(join(inside, "file"), "utf8")).toBe("new");
  expect(await readFile(join(inside, "file.bak"), "utf8")).toBe("old");
  expect(await readFile(join(outside, "file"), "utf8")).toBe("precious");
  expect((await readdir(inside)).sort()).toEqual(["file", "file.bak"]);
});

test("a pipe or a device in a file's place does not hold anybody up", async () => {
  execFileSync("sh", ["-c", `mkfifo "$0"`, join(inside, "pipe")]);
  await expect(read_in_place(join(inside, "pipe"))).rejects.toMatchObject(out_of_place);
  await expect(open_in_place(join(inside, "pipe"), constants.O_WRONLY)).rejects.toMatchObject(out_of_place);
});

test("a directory that is swapped for a link at any moment is never written through", async () => {
  const real = join(root, "swapped");
  await mkdir(real);
  let stop = false;
  const swapping = (async () => {
    while (!stop) {
      await rename(real, `${real}.aside`);
      await symlink(outside, real);
      await rm(real);
      await rename(`${real}.aside`, real);
    }
  })();
  for (let i = 0; i < 300; i++)
    await replace_in_place(join(real, "file"), "mine").catch((error) =>
      expect(["out_of_place", "ENOENT"]).toContain(error.code),
    );
  stop = true;
  await swapping;
  expect(await readFile(join(outside, "file"), "utf8")).toBe("precious");
  expect(await readdir(outside)).toEqual(["file"]);
});
