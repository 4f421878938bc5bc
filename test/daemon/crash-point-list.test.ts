import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CRASH_POINTS, parse_crash } from "../../src/faults/crash-point.ts";

const SOURCES = new URL("../../src/", import.meta.url);

test("every crash point of the list is in the sources, exactly once, and no other is", () => {
  const used = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => [...readFileSync(new URL(name, SOURCES), "utf8").matchAll(/crash_point\("([a-z_.]+)"\)/g)])
    .map(([, name]) => name);
  expect(used.toSorted()).toEqual(CRASH_POINTS.toSorted());
});

test("a crash point is NAME:FILE; an unknown name is none", () => {
  expect(parse_crash("end.begun:/tmp/a:b")).toEqual({ at: "end.begun", mark: "/tmp/a:b" });
  for (const text of ["end.begun", "end.nowhere:/tmp/a", ":x", ""]) expect(parse_crash(text)).toBeNull();
});
