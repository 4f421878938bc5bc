import { expect, test } from "vitest";
import { parse_hierarchies } from "../../src/drivers/cgroup-hierarchies.ts";

test("version 2 alone, as on a machine with systemd", () => {
  const mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
  expect(parse_hierarchies(mountinfo, "0::/user.slice/user-1000.slice/session-2.scope\n")).toEqual([
    {
      version: 2,
      controllers: [],
      mount: "/sys/fs/cgroup",
      own: "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope",
    },
  ]);
});

test("version 1 with version 2 beside it, controllers mounted together, and a mount of no controller", () => {
  const mountinfo = [
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755",
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd",
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
  ].join("\n");
  const cgroup = "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n";
  expect(
    parse_hierarchies(mountinfo, cgroup).map(({ version, own, controllers }) => ({ version, own, controllers })),
  ).toEqual([
    { version: 1, own: "/sys/fs/cgroup/cpu,cpuacct", controllers: ["cpu", "cpuacct"] },
    { version: 1, own: "/sys/fs/cgroup/memory/a/b", controllers: ["memory"] },
    { version: 1, own: "/sys/fs/cgroup/systemd", controllers: ["name=systemd"] },
    { version: 2, own: "/sys/fs/cgroup/unified", controllers: [] },
  ]);
});

test("a container that sees a part of the hierarchy finds itself in it, and nothing where it is out of sight", () => {
  const line = (root: string) => `30 23 0:26 ${root} /sys/fs/cgroup rw - cgroup2 cgroup rw`;
  expect(parse_hierarchies(line("/docker/abc"), "0::/docker/abc/x\n")[0]?.own).toBe("/sys/fs/cgroup/x");
  expect(parse_hierarchies(line("/docker/abc"), "0::/docker/abc\n")[0]?.own).toBe("/sys/fs/cgroup");
  expect(parse_hierarchies(line("/docker/abc"), "0::/docker/abcd\n")).toEqual([]);
  expect(parse_hierarchies(line("/"), "0::/../outside\n")).toEqual([]);
});

test("a mount point with a space in its name", () => {
  const mountinfo = "30 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw";
  expect(parse_hierarchies(mountinfo, "0::/x\n")[0]?.own).toBe("/mnt/my groups/x");
});

test("a kernel without cgroups has none", () => {
  expect(parse_hierarchies("22 1 0:20 / /proc rw - proc proc rw", "")).toEqual([]);
});
