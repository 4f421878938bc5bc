// System programs. They are installed where that needs no question; otherwise the reader is told what to type, once.
import { spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { must_compile } from "./packages.mjs";
import { run, SetupError, say } from "./run.mjs";

/** Package managers by their program, first found wins. `names` holds only the packages that are not called as the program is. */
const MANAGERS = {
  "apt-get": {
    refresh: ["update"],
    install: ["install", "-y", "--no-install-recommends"],
    // Wait for a lock somebody else holds (unattended upgrades on a fresh machine) instead of failing at once.
    patience: ["-o", "DPkg::Lock::Timeout=120"],
    names: {},
  },
  dnf: { install: ["install", "-y"], names: { "g++": "gcc-c++" } },
  pacman: { install: ["-Sy", "--needed", "--noconfirm"], names: { "g++": "gcc", python3: "python" } },
  apk: { install: ["add", "--no-cache"], names: {} },
  zypper: { install: ["--non-interactive", "install"], names: { "g++": "gcc-c++" } },
  brew: { install: ["install"], names: { "g++": "gcc", python3: "python" } },
};

/** The step: every program that is needed here is on the PATH. */
export function programs({ for_tests }) {
  const missing = () => needed_programs(for_tests).filter((program) => !is_present(program));
  return {
    needed: () => missing().length > 0,
    refuse_if_impossible() {
      if (missing().length > 0) way_to_install(missing());
    },
    async apply() {
      await install(missing());
      const still = missing();
      if (still.length > 0) throw new SetupError(`installed, but still not on the PATH: ${still.join(", ")}`);
    },
  };
}

function needed_programs(for_tests) {
  // Only node-pty is compiled, and only where it has no prebuilt and is not there yet.
  return ["tmux", "lsof", ...(for_tests ? ["jq"] : []), ...(must_compile() ? ["g++", "make", "python3"] : [])];
}

function is_present(program) {
  // The compiler make would take.
  if (program === "g++" && process.env.CXX) return find(process.env.CXX.split(" ")[0]) !== null;
  const path = find(program);
  // BusyBox's lsof knows none of the real one's options.
  return path !== null && !(program === "lsof" && basename(realpathSync(path)) === "busybox");
}

function find(program) {
  if (program.includes("/")) return is_executable(program) ? program : null;
  const directories = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return directories.map((directory) => join(directory, program)).find(is_executable) ?? null;
}

function is_executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES", "ELOOP"].includes(error.code)) return false;
    throw error;
  }
}

async function install(missing) {
  const { manager, refresh, installing } = way_to_install(missing);
  say(`installing ${missing.join(", ")} (${manager})…`);
  if (refresh) await run_with_rights(manager, refresh).catch(report_and_go_on);
  await run_with_rights(manager, installing);
}

/** The commands that would install the programs. Throws, with what to type instead, where they may not be run. */
function way_to_install(missing) {
  const manager = Object.keys(MANAGERS).find((name) => find(name) !== null);
  if (!manager)
    throw new SetupError(`missing: ${missing.join(", ")}. Install with your system's package manager, then try again`);
  const { refresh, install, names } = MANAGERS[manager];
  const installing = [...install, ...missing.map((program) => names[program] ?? program)];
  if (!may_install(manager)) throw new SetupError(by_hand(missing, manager, [refresh, installing]));
  return { manager, refresh, installing };
}

/** Homebrew wants to be run without rights, all others with. */
function may_install(manager) {
  if (manager === "brew") return !is_root();
  return is_root() || spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0;
}

function is_root() {
  return process.getuid() === 0;
}

function run_with_rights(manager, command) {
  const { patience = [] } = MANAGERS[manager];
  const sudo = is_root() || manager === "brew" ? [] : ["sudo", "-n"];
  // Set by `env`, because sudo drops the variables it was called with.
  const [program, ...args] = [...sudo, "env", "DEBIAN_FRONTEND=noninteractive", manager, ...patience, ...command];
  return run(program, args);
}

/** One broken package source must not stop an installation that the others can serve. */
function report_and_go_on(error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
}

function by_hand(missing, manager, commands) {
  const sudo = manager !== "brew" && find("sudo") ? "sudo " : "";
  const who = manager === "brew" ? " as yourself, not as root" : sudo ? "" : " as root";
  const typed = commands.filter(Boolean).map((args) => `${sudo}${manager} ${args.join(" ")}`);
  return `missing: ${missing.join(", ")}. Type this${who}, then try again:  ${typed.join(" && ")}`;
}
