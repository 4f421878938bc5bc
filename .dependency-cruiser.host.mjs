// What a running host loads. Apart from .dependency-cruiser.mjs, because here imports of types must not count: they are
// gone when the host runs, and the host takes its protocol's types from files that load zod.
/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "host-loads-no-packages",
      severity: "error",
      comment:
        "The host exists once per agent (12 MB, 200 ms to the first byte): of all packages it loads node-pty alone, " +
        "neither directly nor through a module it imports a value from.",
      from: { path: "^src/(host/|bin/agent-host)" },
      to: { path: "node_modules", pathNot: "(^|/)node_modules/node-pty/", reachable: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: false,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
