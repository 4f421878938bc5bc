// Bundles the programs of the project into dist/: the `supervisor` command (with the daemon loaded only when it is asked for), the agent host,
// one file, because it is started once per agent and must boot fast, and the daemon's thread that looks at processes.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { build } from "esbuild";

const shared = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: "linked",
  logLevel: "warning",
  // Only packages with a compiled part are left to node_modules. The rest is in the bundles: a daemon that reads 800 files of packages takes twice the time to start
  // (docs/performance.md).
  external: ["node-pty", "koffi"],
  // Bundled CommonJS packages call require(); an ES module has none of its own.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
};

/** Puts the values of src/client/table.ts in its place (it says why). They must be what JSON can say. */
const evaluate_table = {
  name: "evaluate-table",
  setup(on) {
    on.onLoad({ filter: /\/src\/client\/table\.ts$/ }, async ({ path }) => {
      const { outputFiles } = await build({
        entryPoints: [path],
        bundle: true,
        platform: "node",
        format: "cjs",
        external: ["zod"],
        write: false,
      });
      const made = { exports: {} };
      new Function("module", "require", outputFiles[0].text)(made, createRequire(import.meta.url));
      const lines = Object.entries(made.exports).map(
        ([name, value]) => `export const ${name} = ${JSON.stringify(value)};`,
      );
      return { contents: lines.join("\n"), loader: "js" };
    });
  },
};

await rm("dist", { recursive: true, force: true });
await build({
  ...shared,
  entryPoints: { supervisor: "src/bin/supervisor.ts" },
  plugins: [evaluate_table],
  outdir: "dist",
  splitting: true,
  chunkNames: "chunks/[name]-[hash]",
});
// CommonJS, and without white space: Node's loader of ES modules costs each host 1.1 MB and 4 ms (docs/performance.md), and the text of a program is kept in memory.
const host = {
  ...shared,
  format: "cjs",
  banner: {},
  minifyWhitespace: true,
  alias: { "node:fs/promises": "./src/host/file-calls.ts" },
};
const { outputFiles } = await build({
  ...host,
  // Its own name: it is wrapped by agent-host.ts.
  define: { "import.meta.url": "__filename" },
  entryPoints: ["src/bin/agent-host-program.ts"],
  outfile: "dist/agent-host-program.cjs",
  sourcemap: false,
  write: false,
});
// The function that agent-host.ts calls. Around it here, and not when it is read, where it would be one more copy of the text in each host.
const program = `(function(require,module,exports,__filename){${outputFiles[0].text}\n})`;
// By its hash, because V8 looks at the length alone to see whether what was compiled ahead is of this very program.
const name = `agent-host-${createHash("sha256").update(program).digest("hex").slice(0, 16)}`;
await writeFile(`dist/${name}.cjs`, program);
await build({
  ...host,
  define: { PROGRAM: JSON.stringify(name) },
  entryPoints: ["src/bin/agent-host.ts"],
  outfile: "dist/agent-host.cjs",
});
const host_flags = JSON.parse(await readFile("src/daemon/host-flags.json", "utf8"));
execFileSync(process.execPath, [...host_flags, "scripts/compile-host.cjs", `dist/${name}.cjs`, `dist/${name}.v8`]);
// One file, because it is loaded into a thread of the daemon, with a heap of its own.
await build({
  ...shared,
  format: "cjs",
  banner: {},
  entryPoints: ["src/bin/look-thread.ts"],
  outfile: "dist/look-thread.cjs",
});
await chmod("dist/supervisor.js", 0o755);
