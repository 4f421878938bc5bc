import { defineConfig } from "vitest/config";

/** The long fault tests (`npm run test:faults`): each makes a part of the machine fail and waits for what takes long. One file at a time. */
export default defineConfig({
  test: {
    include: ["test/faults/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
    reporters: process.env.CI ? ["default", "./scripts/vitest-plain-reporter.mjs"] : ["default"],
  },
});
