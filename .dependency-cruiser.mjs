// The walls between the rooms of src/ (docs/ARCHITECTURE.md). Each room lists what it may import and why; whatever is not
// listed is refused. `npm run check:walls` runs this, and .dependency-cruiser.host.mjs for what a running host loads.

/** Matches a module of a package, wherever npm put it. */
const packages = (...names) => `(^|/)node_modules/(${names.join("|")})/`;
/** Matches modules of Node itself. */
const builtin = (...names) => `^(node:)?(${names.join("|")})$`;

/** What a wall looks at: every import, all but those of Node's own modules, or those of other rooms alone. */
const EVERYTHING = {};
const ALL_BUT_BUILTINS = { dependencyTypesNot: ["core"] };
const ROOMS_ALONE = { path: "^src/" };

/** A room, or some files of it, may import the room itself and what is listed. */
const room = (name, comment, seen, listed, files = { path: `^src/${name}/` }) => ({
  name: `${name}-imports`,
  severity: "error",
  comment,
  from: files,
  to: { ...seen, pathNot: [`^src/${name.split("-")[0]}/`, ...listed] },
});

/** Something only one place may import. */
const only_in = (places, what, comment, to) => ({
  name: `${what}-only-in-its-place`,
  severity: "error",
  comment,
  from: { path: "^src/", pathNot: places },
  to,
});

const never = (name, comment, from, to) => ({
  name,
  severity: "error",
  comment,
  from: { path: from },
  to: { path: to },
});

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    // What each room may import
    room(
      "contract",
      "Shared nouns without I/O: everybody imports them, the host too, so they drag nothing along.",
      EVERYTHING,
      [packages("zod"), builtin("path", "crypto", "string_decoder")],
    ),
    room(
      "drivers",
      "A driver knows one outside thing and gives facts. Policy stays with who calls it.",
      ALL_BUT_BUILTINS,
      ["^src/contract/", packages("execa", "p-retry", "koffi")],
    ),
    room(
      "containment",
      "Who belongs to an agent is asked of the kernel alone, and answered alike in the daemon and in the host.",
      ALL_BUT_BUILTINS,
      ["^src/contract/", "^src/drivers/(procfs|pid-order|cgroup|when-possible)"],
    ),
    room(
      "host",
      "The host exists once per agent: its memory and its start are budgeted. (zod's types only: see host-loads-no-packages.)",
      ALL_BUT_BUILTINS,
      [
        "^src/contract/",
        "^src/containment/",
        "^src/drivers/(procfs|pid-order|in-place|when-possible)",
        "^src/faults/",
        packages("node-pty", "zod"),
      ],
    ),
    room("faults", "A crash point is in every process and must add nothing to it: Node alone.", ALL_BUT_BUILTINS, []),
    room(
      "client",
      "The client speaks to the daemon over its socket and knows nothing of its inside. Of package.json it takes the version, when it is built.",
      ALL_BUT_BUILTINS,
      ["^src/contract/", "^package\\.json$"],
    ),
    room(
      "doctor",
      "The doctor looks at the system the way the drivers see it and containment judges it, and needs no daemon for that.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/drivers/", "^src/containment/"],
    ),
    room(
      "cli",
      "A command asks the daemon through the client, and the environment through config. It touches neither the agents' files nor tmux by itself.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/", "^src/config"],
      { path: "^src/cli/", pathNot: "^src/cli/(departure|commands/(start|demo|attach|doctor|mcp))" },
    ),
    room(
      "cli-start",
      "`start` and `demo` bring a daemon up in this process; otherwise they are commands like the others.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/", "^src/config", "^src/daemon/run", "^src/drivers/leave"],
      { path: "^src/cli/commands/(start|demo)" },
    ),
    room(
      "cli-attach",
      "`attach` gives this terminal to tmux, which no daemon can do for it; otherwise it is a command like the others.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/", "^src/drivers/terminal"],
      { path: "^src/cli/commands/attach" },
    ),
    room(
      "cli-departure",
      "`stop` waits until the daemon has gone, which no daemon can tell of itself.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/daemon-json", "^src/drivers/procfs"],
      { path: "^src/cli/departure" },
    ),
    room(
      "cli-mcp",
      "`mcp` serves the tools in this process, and brings a daemon up in a session of its own where none runs.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/", "^src/config", "^src/mcp/server", "^src/daemon/(start-in-session|version)"],
      { path: "^src/cli/commands/mcp" },
    ),
    room(
      "cli-doctor",
      "`doctor` must work where no daemon can start; otherwise it is a command like the others.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/", "^src/doctor/", "^src/config"],
      { path: "^src/cli/commands/doctor" },
    ),
    room(
      "mcp",
      "The tools are the operations under other names: all they do, they do through the client.",
      ROOMS_ALONE,
      ["^src/contract/", "^src/client/"],
    ),

    // Who never meets
    never(
      "daemon-never-imports-host",
      "They are two processes of two ages: a new daemon adopts old hosts, so all they share is the host protocol.",
      "^src/daemon/",
      "^src/host/",
    ),
    never(
      "host-never-imports-daemon",
      "They are two processes of two ages: a new daemon adopts old hosts, so all they share is the host protocol.",
      "^src/host/",
      "^src/daemon/",
    ),
    never(
      "core-never-imports-front-ends",
      "CLI and MCP are ways to ask. What answers must not know who asks.",
      "^src/(daemon|host|containment|drivers|client|contract|doctor|faults)/",
      "^src/(cli|mcp)/",
    ),
    never("bin-is-not-imported", "A bin file is a process: importing it would start one.", "^src/", "^src/bin/"),
    never("src-never-imports-tests", "What is shipped must not need what is not.", "^src/", "^(test|bench|scripts)/"),

    // What has one place
    only_in("^src/daemon/registry", "lowdb", "Each file on disk has one writer, and the registry's is the registry.", {
      path: packages("lowdb"),
    }),
    only_in("^src/host/", "node-pty", "A pty belongs to the host: whoever else held one would end agents by dying.", {
      path: packages("node-pty"),
    }),
    only_in(
      ["^src/drivers/", "^src/host/"],
      "child-processes",
      "Child processes are started where their output, limits and end are handled: by the drivers; the agent by its host.",
      { path: [packages("execa"), builtin("child_process")] },
    ),
    only_in(
      "^src/drivers/program",
      "execa",
      "A program that the machine has no means to start must not end whoever starts it.",
      {
        path: packages("execa"),
      },
    ),
    only_in(
      "^src/drivers/(lease|leave)[.]ts$",
      "koffi",
      "What calls into the C library by itself can end the process: one call in each of two places, and that is what the second is for.",
      {
        path: packages("koffi"),
      },
    ),
    only_in("^src/daemon/metrics", "prom-client", "What is counted, and under which name, is said in one place.", {
      path: packages("prom-client"),
    }),
    only_in(
      "^src/(host/|drivers/leave[.]ts$)",
      "create-require",
      "What is loaded by createRequire passes every wall here unseen.",
      {
        path: builtin("module"),
      },
    ),

    // Hygiene
    {
      name: "no-circular",
      severity: "error",
      comment: "Modules that need each other are one module in two files, and load in an order nobody chose.",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      severity: "error",
      comment: "A file that nothing imports and that imports nothing is not part of the program.",
      from: { orphan: true, path: "^src/", pathNot: "\\.d\\.ts$" },
      to: {},
    },
    {
      name: "no-dev-dependencies",
      severity: "error",
      comment: "An installation for use has no dev dependencies.",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev"] },
    },
    {
      name: "no-undeclared-dependencies",
      severity: "error",
      comment:
        "A package that package.json does not name is there by luck, and an import that resolves to nothing fails.",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "unknown", "undetermined"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Imports of types count as well: a wall is about who must know whom, not about what is loaded.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
