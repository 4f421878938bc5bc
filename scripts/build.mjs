// Bundles the two programs of the project into dist/: the `supervisor` command (with the daemon loaded only when it
// is asked for) and the agent host, one file, because it is started once per agent and must boot fast.
import { chmod, rm } from "node:fs/promises";
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
    "@modelcontextprotocol/sdk",
  ],
  // Bundled CommonJS packages call require(); an ES module has none of its own.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
};

await rm("dist", { recursive: true, force: true });
await build({
  ...shared,
  entryPoints: { supervisor: "src/bin/supervisor.ts" },
  outdir: "dist",
  splitting: true,
  chunkNames: "chunks/[name]-[hash]",
});
await build({ ...shared, entryPoints: { "agent-host": "src/bin/agent-host.ts" }, outdir: "dist" });
await chmod("dist/supervisor.js", 0o755);
