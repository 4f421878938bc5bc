// Bundles the programs of the project into dist/: the `supervisor` command (with the daemon loaded only when it is asked for), the agent host,
// one file, because it is started once per agent and must boot fast, and the daemon's thread that looks at processes.
import { chmod, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { build } from "esbuild";

const shared = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: "linked",
  logLevel: "warning",
  // Left to node_modules: what the daemon alone needs (some of it must know its own file name), and zod, which must be one copy.
  external: [
    "node-pty",
    "zod",
    "fastify",
    "@fastify/rate-limit",
    "@fastify/swagger",
    "fastify-type-provider-zod",
    "pino",
    "pino-pretty",
    "execa",
    "lowdb",
    "proper-lockfile",
    "re2js",
    "p-retry",
    "yaml",
    "leven",
    "prom-client",
    "koffi",
    "@modelcontextprotocol/sdk",
  ],
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
await build({
  ...shared,
  format: "cjs",
  banner: {},
  define: { "import.meta.url": "__filename" },
  minifyWhitespace: true,
  entryPoints: ["src/bin/agent-host.ts"],
  outfile: "dist/agent-host.cjs",
});
// One file, because it is loaded into a thread of the daemon, with a heap of its own.
await build({
  ...shared,
  format: "cjs",
  banner: {},
  entryPoints: ["src/bin/look-thread.ts"],
  outfile: "dist/look-thread.cjs",
});
await chmod("dist/supervisor.js", 0o755);
