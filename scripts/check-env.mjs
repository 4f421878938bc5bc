// Two walls that an import checker cannot see: in src/, `process.env` is read in bin and config alone (everything else
// gets its settings as arguments, so that a test can pass them), and only bin ends the process (anything else would cut
// off writes that are still under way). Reads the syntax tree, so that comments and strings may name both.
//
//   node scripts/check-env.mjs       exit 1, and one line `file:line: reason` for each breach
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const WALLS = {
  env: { allowed: /^src\/(bin\/|config)/, reason: "process.env is read in src/bin and src/config alone" },
  exit: { allowed: /^src\/bin\//, reason: "process.exit is called in src/bin alone" },
};

/** The names in a file that mean `process`: the global one, and what `node:process` is imported as. */
function names_of_process(file) {
  const names = file.statements
    .filter(is_import_of_process)
    .flatMap(({ importClause: clause }) => [clause?.name, clause?.namedBindings?.name]);
  return new Set(["process", ...names.filter(Boolean).map((name) => name.text)]);
}

function is_import_of_process(node) {
  return ts.isImportDeclaration(node) && /^(node:)?process$/.test(node.moduleSpecifier.text);
}

/** The members of `process` that a node takes: by `.`, by `[""]`, by destructuring, or by a named import. */
function members_taken(node, is_process) {
  if (ts.isPropertyAccessExpression(node) && is_process(node.expression)) return [node.name];
  if (ts.isElementAccessExpression(node) && is_process(node.expression)) return [node.argumentExpression];
  if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && is_process(node.initializer)) {
    return node.name.elements.map((element) => element.propertyName ?? element.name);
  }
  if (is_import_of_process(node)) {
    return (node.importClause?.namedBindings?.elements ?? []).map((element) => element.propertyName ?? element.name);
  }
  return [];
}

/** `file:line: reason` for each place in a file that breaks a wall. */
function breaches(path, text) {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const names = names_of_process(file);
  const is_process = (node) =>
    node !== undefined &&
    ((ts.isIdentifier(node) && names.has(node.text)) ||
      (ts.isPropertyAccessExpression(node) && node.getText() === "globalThis.process"));
  const found = [];
  const visit = (node) => {
    for (const member of members_taken(node, is_process)) {
      const wall = Object.hasOwn(WALLS, member.text) ? WALLS[member.text] : null;
      if (wall === null || wall.allowed.test(path)) continue;
      const { line } = file.getLineAndCharacterOfPosition(member.getStart());
      found.push(`${path}:${line + 1}: ${wall.reason}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const sources = readdirSync("src", { recursive: true })
  .map((name) => join("src", name).split(sep).join("/"))
  .filter((path) => path.endsWith(".ts"));
const all = sources.sort().flatMap((path) => breaches(path, readFileSync(path, "utf8")));
for (const breach of all) console.error(breach);
if (sources.length === 0) console.error("no sources found in src/");
process.exitCode = all.length > 0 || sources.length === 0 ? 1 : 0;
