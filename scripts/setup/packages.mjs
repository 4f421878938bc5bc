// node_modules. They belong to one lock file, one Node ABI and one platform; the stamp inside says which. npm deletes it
// with the rest when it starts, and it is written last: an installation that was cut short has none.
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { headers_beside } from "./headers.mjs";
import { ROOT, SetupError, say, tried } from "./run.mjs";

const STAMP = join(ROOT, "node_modules/.setup-stamp");
const NODE_PTY = join(ROOT, "node_modules/node-pty");
const PREBUILD = join(NODE_PTY, `prebuilds/${process.platform}-${process.arch}`);

/** The systems node-pty 1.1 brings a prebuilt for. A constant, because the question comes before it is installed. */
const PREBUILT_FOR = ["darwin-arm64", "darwin-x64"];

/** The step: node_modules is what the lock file says, built for this Node. */
export const packages = {
  needed: () => read_stamp() !== expected_stamp() || !has_native_module() || !has_all_packages(),
  async apply() {
    say("installing packages (npm ci)…");
    // Dev and optional ones are named, because NODE_ENV=production or a user's config may leave them out, and esbuild
    // is both. The log level too: under `npm --silent test` npm would inherit silence and fail without a word.
    const failure = await tried("npm", ["ci", "--include=dev", "--include=optional", "--loglevel=warn"], nodedir());
    if (failure) {
      const path = join(mkdtempSync(join(tmpdir(), "supervisor-setup-")), "npm.log");
      writeFileSync(path, failure.output);
      throw new SetupError(`${what_to_do(failure)}; all that npm said is in ${path}`);
    }
    if (!has_native_module()) {
      throw new SetupError(
        "node-pty was not built. Does npm have ignore-scripts set? Try: npm rebuild node-pty --ignore-scripts=false",
      );
    }
    allow_spawn_helper();
    writeFileSync(STAMP, expected_stamp());
  },
};

/** Where node-gyp finds Node's headers without a network. What the user says counts. */
function nodedir() {
  const ours = process.env.npm_config_nodedir ? null : headers_beside(process.execPath, process.versions.node);
  return ours === null ? {} : { npm_config_nodedir: ours };
}

/** A failed `npm ci` in one sentence, which says what to do. node-pty is the only package that is compiled. */
function what_to_do({ failure, output }) {
  const said = output.toString("utf8");
  const begin = `npm ci failed (${failure})`;
  if (/node-gyp|gyp ERR/.test(said)) {
    const why =
      /FetchError|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ECONNRESET|headers|nodedir|network connectivity/.test(said)
        ? "node-gyp needs Node's headers: it fetches them from the network, or takes them from where npm_config_nodedir says (a directory that has include/node)"
        : "it needs a C++ compiler, make and python3";
    return `${begin}: node-pty could not be compiled; ${why}`;
  }
  if (/ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ECONNRESET|ENOTCACHED/.test(said))
    return `${begin}: the package registry cannot be reached; see that this machine has a network, or a registry of its own (npm config set registry …), and try again`;
  if (/ENOSPC/.test(said)) return `${begin}: the disk is full; make room and try again`;
  if (/EACCES|EPERM/.test(said))
    return `${begin}: a directory cannot be written (node_modules here, or npm's cache); make it yours and try again`;
  return `${begin}; mend what npm says and try again`;
}

/** Whether the installation, if there is to be one, will compile. */
export function must_compile() {
  return packages.needed() && !PREBUILT_FOR.includes(`${process.platform}-${process.arch}`);
}

function expected_stamp() {
  const lock = createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
  return `${lock} abi ${process.versions.modules} ${process.platform}-${process.arch} ${libc()}\n`;
}

/** A clone may be shared with a container of another C library. */
function libc() {
  if (process.platform !== "linux") return "system";
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
}

function read_stamp() {
  try {
    return readFileSync(STAMP, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    return null;
  }
}

function has_native_module() {
  return existsSync(join(NODE_PTY, "build/Release/pty.node")) || existsSync(join(PREBUILD, "pty.node"));
}

/**
 * Whether every package of the lock file has its directory: one that was removed by hand leaves the stamp as it was, and the command then names
 * `npm run setup` as the way out. Optional ones may be missing for good.
 */
function has_all_packages() {
  const { packages: locked } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  return Object.entries(locked).every(
    ([path, { optional, devOptional }]) => optional || devOptional || existsSync(join(ROOT, path, "package.json")),
  );
}

/** node-pty's macOS prebuilt is packed without the executable bit, and every spawn fails without it. */
function allow_spawn_helper() {
  const helper = join(PREBUILD, "spawn-helper");
  if (existsSync(helper)) chmodSync(helper, 0o755);
}
