// What a program holds on to, by a snapshot of its heap: everything but the code that V8 has compiled, with what V8 notes for that code (which objects' shapes it
// depends on). V8 compiles a function when it has run often, so that code grows for thousands of cycles, ever more slowly; no leak is in it.
import { readFile } from "node:fs/promises";

/** Lists that V8 keeps: the code that depends on a shape, and shapes to be kept for a while. */
const NOTES = "system / WeakArrayList";

/** Of the snapshot in this file, in bytes: `{objects, code}`. */
export async function heap_bytes(path) {
  const { snapshot, nodes, strings } = JSON.parse(await readFile(path, "utf8"));
  const { node_fields, node_types } = snapshot.meta;
  const [type, name, size] = ["type", "name", "self_size"].map((field) => node_fields.indexOf(field));
  const code = node_types[type].indexOf("code");
  const sums = { objects: 0, code: 0 };
  for (let at = 0; at < nodes.length; at += node_fields.length) {
    const is_code = nodes[at + type] === code || strings[nodes[at + name]] === NOTES;
    sums[is_code ? "code" : "objects"] += nodes[at + size];
  }
  return sums;
}
