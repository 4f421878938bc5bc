/** What a daemon is started with. */
import type { Logger } from "pino";
import type { ConfigPlace } from "../contract/config.ts";
import type { Looker } from "../drivers/look-thread.ts";
import type { Crash } from "../faults/crash-point.ts";
import type { Clock } from "./clock.ts";

export interface DaemonOptions {
  workspace: string;
  runtime_base: string;
  base_env: Record<string, string>;
  /** Where config files are looked for, the weightiest first. */
  config_places: ConfigPlace[];
  containment: "auto" | "cookie";
  /** `auto` unless told otherwise. */
  verification?: "auto" | "proc" | "lsof";
  log: Logger;
  /** How often deferred removals are tried again, in ms; a minute unless a test says otherwise. */
  sweep_every_ms?: number;
  /** For tests: another time for what grows old, and the program of hosts where this is not run from its bundle. */
  clock?: Clock;
  host_program?: string;
  /** For tests: another way to name who may hold a file, and the program of the thread that looks where this is not run from its bundle. */
  looker?: Looker;
  look_program?: string;
  /** For tests: where this process dies (docs/faults.md). */
  crash?: Crash | null;
}
