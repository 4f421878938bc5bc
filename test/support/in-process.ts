/** A daemon in the test's own process, so that the test can hand it a clock: real hosts, tmux, lsof and agents all the same. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { Client } from "../../src/client/client.ts";
import type { DaemonOptions } from "../../src/daemon/options.ts";
import { type Daemon, start_daemon } from "../../src/daemon/run.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { TestSupervisor } from "./supervisor.ts";

const HOST_PROGRAM = fileURLToPath(new URL("../../dist/agent-host.cjs", import.meta.url));
const LOOK_PROGRAM = fileURLToPath(new URL("../../dist/look-thread.cjs", import.meta.url));

export interface InProcess {
  supervisor: TestSupervisor;
  clock: SimulatedClock;
  daemon: Daemon;
  client: Client;
  /** Stops the daemon, leaving agents. */
  stop(): Promise<void>;
  /** Starts another one, on the same workspace. */
  start(): Promise<void>;
  /** Ends everything, and asserts that nothing is left. */
  dispose(): Promise<void>;
}

export async function start_in_process(
  retention: Record<string, number>,
  base?: string,
  more: Partial<DaemonOptions> = {},
): Promise<InProcess> {
  const supervisor = await TestSupervisor.prepare(base);
  const clock = new SimulatedClock();
  writeFileSync(join(supervisor.root, "supervisor.config.json"), JSON.stringify({ retention, spare_hosts: 0 }), {
    mode: 0o600,
  });
  const one = { supervisor, clock } as InProcess;
  one.start = async () => {
    one.daemon = await start_daemon({
      workspace: supervisor.workspace,
      runtime_base: supervisor.root,
      base_env: { PATH: supervisor.env.PATH as string, HOME: supervisor.root, TERM: "xterm-256color" },
      config_places: [{ dir: supervisor.root, name: "supervisor.config" }],
      containment: "auto",
      ...more,
      log: pino({ level: "silent" }),
      // By itself it never sweeps: the tests look before and after.
      sweep_every_ms: 3_600_000,
      clock,
      host_program: HOST_PROGRAM,
      look_program: LOOK_PROGRAM,
    });
    one.client = new Client(one.daemon.socket);
    supervisor.client = one.client;
    supervisor.socket = one.daemon.socket;
  };
  one.stop = async () => {
    await one.daemon.stop({ agents: false });
    // The process that served is this one, and lives: for the next start it must have been another.
    const path = join(supervisor.workspace, "daemon.json");
    if (!existsSync(path)) return;
    const info = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...info, start_time: info.start_time - 1 }));
  };
  one.dispose = async () => {
    await one.daemon.stop({ agents: true });
    await supervisor.dispose();
  };
  await one.start();
  return one;
}
