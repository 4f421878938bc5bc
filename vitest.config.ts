import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Small files that take longest. vitest begins with the largest files: these would come last, one after the other, while the second worker has nothing left to do. */
const LONGEST = ["crash-points", "simulated-day", "crash-show"].map((name) => `/e2e/${name}.test.ts`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const long = ({ moduleId }: TestSpecification) => LONGEST.some((name) => moduleId.endsWith(name));
    const sorted = await super.sort(files);
    return [...sorted.filter(long), ...sorted.filter((file) => !long(file))];
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // The long ones have a config of their own: vitest.faults.config.ts.
    exclude: ["test/faults/**"],
    // Processes, not threads: tests change directories and signals, and a crash must take one file down, not the run.
    pool: "forks",
    fileParallelism: true,
    // Two files at a time on any machine: each may run a daemon, a tmux server and several agents of its own.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // End-to-end tests await real processes. They wait for events, so this is a limit for hangs and not a pace. Each wait has 40 s and says what it waited for: there is room for
    // several that are slow. (With 60 s, a test that has much to do took 53 on a machine with a load of 20.)
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // The same for what is looked at until it is so: vitest's own second is a pace that a loaded machine does not keep.
    expect: { poll: { timeout: 40_000 } },
    reporters: process.env.CI ? ["default", "./scripts/vitest-plain-reporter.mjs"] : ["default"],
  },
});
