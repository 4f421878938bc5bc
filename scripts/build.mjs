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
  external: ["node-pty"],
  // Bundled CommonJS packages call require(); an ES module has none of its own.
  banner: { js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);' },
};

await rm("dist", { recursive: true, force: true });
await build({ ...shared, entryPoints: { supervisor: "src/bin/supervisor.ts" }, outdir: "dist", splitting: true, chunkNames: "chunks/[name]-[hash]" });
await build({ ...shared, entryPoints: { "agent-host": "src/bin/agent-host.ts" }, outdir: "dist" });
await chmod("dist/supervisor.js", 0o755);
