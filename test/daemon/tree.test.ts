import { expect, test } from "vitest";
import { ancestors_of, descendants_of } from "../../src/daemon/tree.ts";

const kin = (id: string, parent: string) => ({ id, parent });
const FAMILY = [kin("a", "orchestrator"), kin("aaa", "aa"), kin("aa", "a"), kin("ab", "a"), kin("b", "orchestrator")];

test("descendants are children and theirs, in whatever order they are listed", () => {
  expect(descendants_of("a", FAMILY).map(({ id }) => id)).toEqual(["aa", "ab", "aaa"]);
  expect(descendants_of("b", FAMILY)).toEqual([]);
});

test("ancestors are parents and theirs", () => {
  expect([...ancestors_of([kin("x", "aaa")], FAMILY)].toSorted()).toEqual(["a", "aa", "aaa", "orchestrator"]);
});

test("an entry that names itself, or a circle of entries, is seen once", () => {
  const circle = [kin("a", "b"), kin("b", "a"), kin("c", "c")];
  expect(descendants_of("a", circle).map(({ id }) => id)).toEqual(["b"]);
  expect(descendants_of("c", circle)).toEqual([]);
  expect([...ancestors_of(circle, circle)].toSorted()).toEqual(["a", "b", "c"]);
});

test("a hundred thousand agents of one parent are gone through once", () => {
  const many = Array.from({ length: 100_000 }, (_, i) => ({ id: `a${i}`, parent: "orchestrator" }));
  expect(descendants_of("a1", many)).toEqual([]);
  expect(descendants_of("orchestrator", many)).toHaveLength(100_000);
});
