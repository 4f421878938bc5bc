// A vitest reporter for CI logs: the totals as the last line, alone, without colour: `12 passed, 0 failed, 1 skipped`.
import { writeSync } from "node:fs";

export default class PlainReporter {
  onTestRunEnd(modules, unhandled_errors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state) => tests.filter((test) => test.result().state === state).length;
    // A file that cannot be loaded has no tests, and an error outside of any test fails the run as well: without these
    // a red run could read as "0 failed".
    const broken = modules.filter((module) => module.state() === "failed" && own_errors(module) > 0).length;
    const failed = count("failed") + broken + unhandled_errors.length;
    const skipped = count("skipped");
    const line = `${count("passed")} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
    // At exit, because the other reporters may still have something to say.
    process.once("exit", () => writeSync(1, `${line}\n`));
  }
}

/** Errors of a file that belong to no test of it: it could not be imported, or a hook of a suite threw. */
function own_errors(module) {
  const suites = [...module.children.allSuites()];
  return module.errors().length + suites.reduce((sum, suite) => sum + suite.errors().length, 0);
}
