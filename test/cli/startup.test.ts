import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { CHOICES, ROUTES } from "../../src/client/table.ts";
import { OPERATIONS } from "../../src/contract/operations.ts";

const COMMAND = fileURLToPath(new URL("../../dist/supervisor.js", import.meta.url));

/** Options, suggestions, tables, sizes and times. */
const FOR_WORDS = [
  ...["@colors/colors", "ansi-regex", "cli-table3", "commander", "emoji-regex", "is-fullwidth-code-point", "leven"],
  ...["parse-ms", "pretty-bytes", "pretty-ms", "string-width", "strip-ansi"],
];

/** Every module that is loaded before a command runs, by its file or its name. */
async function loaded_at_start(path: string, seen = new Set<string>()): Promise<Set<string>> {
  if (seen.has(path)) return seen;
  seen.add(path);
  const text = await readFile(path, "utf8");
  for (const [, name] of text.matchAll(/^(?:import|export)\s*(?:[^"'()]*?\sfrom\s*)?"([^"]+)";/gm)) {
    if (name?.startsWith(".")) await loaded_at_start(resolve(dirname(path), name), seen);
    else if (name) seen.add(name);
  }
  return seen;
}

/** The packages whose modules are in these files, by the comments that esbuild puts before them. */
async function packages_in(files: Set<string>): Promise<string[]> {
  const paths = [...files].filter((name) => name.startsWith("/"));
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8")));
  const named = texts.join("\n").matchAll(/^ *\/\/ (?:\.\.\/)*node_modules\/((?:@[^/]+\/)?[^/]+)\//gm);
  return [...new Set([...named].map(([, name]) => name as string))].sort();
}

test("a command loads the packages for its words alone at its start, the schemas' zod least of all", async () => {
  const loaded = await loaded_at_start(COMMAND);
  expect(loaded).toContain("node:http");
  expect([...loaded].filter((name) => !name.startsWith("/") && !name.startsWith("node:"))).toEqual([]);
  expect(await packages_in(loaded)).toEqual(FOR_WORDS);
});

test("what is built into the command is what the table of operations says", async () => {
  const built = (
    await Promise.all(
      [...(await loaded_at_start(COMMAND))]
        .filter((name) => name.startsWith("/"))
        .map((path) => readFile(path, "utf8")),
    )
  ).join("\n");
  for (const [name, { method, path }] of Object.entries(OPERATIONS)) {
    expect(ROUTES[name as keyof typeof ROUTES]).toEqual({ method, path });
    expect(built).toContain(path);
  }
  expect(JSON.parse(JSON.stringify({ ROUTES, CHOICES }))).toEqual({ ROUTES, CHOICES });
});
