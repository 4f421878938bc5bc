// Node's headers, which node-gyp needs to compile node-pty. Most installations of Node have them beside the program
// (nodejs.org, NodeSource, nvm); node-gyp does not look there, and without being told fetches them from the network.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What node-gyp reads below `include/node` of the directory that it is given. */
const NEEDED = ["node.h", "node_version.h", "common.gypi", "config.gypi"];

/** The directory for node-gyp's `nodedir`: where this Node is installed, if it has headers of exactly its version; else null. */
export function headers_beside(exec_path, version) {
  const prefix = dirname(dirname(exec_path));
  const include = join(prefix, "include/node");
  if (!NEEDED.every((name) => existsSync(join(include, name)))) return null;
  const text = readFileSync(join(include, "node_version.h"), "utf8");
  const part = (name) => new RegExp(`^#define NODE_${name}_VERSION (\\d+)`, "m").exec(text)?.[1];
  return ["MAJOR", "MINOR", "PATCH"].map(part).join(".") === version ? prefix : null;
}
