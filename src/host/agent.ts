/** Sets one agent up: terminal, logs, pane, program. A failure at any step undoes the earlier ones. */
import { closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Socket } from "node:net";
import type { LaunchSpec } from "../contract/host-protocol.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { type Launched, launch, open_stdout_pipe } from "./launch.ts";
import { LogFile } from "./log-file.ts";
import { Output } from "./output.ts";
import { Pane, type PaneKeys, read_keys } from "./pane.ts";
import { open_terminal, type Terminal } from "./terminal.ts";

/** The size of a terminal that nobody looks at. Wide, so that programs which wrap their output seldom do. */
const DEFAULT_SIZE: [number, number] = [200, 50];

export interface Agent {
  spec: LaunchSpec;
  process: ProcessRef;
  exited: Launched["exited"];
  outputs: Output[];
  pane: Pane;
  keys: PaneKeys;
  grace_ms: number;
  notes: string[];
  type: Terminal["type"];
  bytes_read(): number;
  bytes_written(): number;
  stalled(): string | null;
  /** Gives the terminal's last descriptors back. */
  dispose(): void;
}

export interface AgentOptions {
  /** Where the named pipe for stdout may be made, for a moment. */
  fifo: string;
  on_stall(reason: string | null): void;
}

/** Starts the agent. Rejects with the reason when any part cannot be had; then nothing is left of the others. */
export async function start_agent(spec: LaunchSpec, options: AgentOptions): Promise<Agent> {
  const undo: (() => unknown)[] = [];
  try {
    const pane = new Pane("/dev/tty");
    undo.push(() => pane.close());
    let terminal: Terminal | null = null;
    const keys = read_keys((data) => terminal?.type(data));
    undo.push(() => keys.stop());
    terminal = await open_terminal(spec.mode, keys.size() ?? DEFAULT_SIZE);
    const { slave_fd, output } = terminal;
    undo.push(
      () => output.destroy(),
      () => closeSync(slave_fd),
    );
    const resize = terminal.resize;
    keys.on_resize(() => {
      const size = keys.size();
      if (size) resize(...size);
    });

    const logs: LogFile[] = [];
    let told: string | null = null;
    const stalled = () => logs.find((log) => log.stalled)?.stalled ?? null;
    // One log that goes on says nothing while the other is still held up.
    const tell_stall = () => {
      if (stalled() === told) return;
      told = stalled();
      options.on_stall(told);
    };
    const open_log = async (path: string) => {
      const log = await LogFile.open(path, tell_stall);
      logs.push(log);
      undo.push(
        () => log.destroy(),
        () => rm(path, { force: true }),
      );
      return log;
    };
    const view = (chunk: Buffer) => pane.show(chunk);
    const piped = spec.stdout === "pipe" && spec.terminal_log !== null;
    const main_log = await open_log(spec.log_file);
    const outputs: Output[] = [];
    let fifo_path: string | null = null;
    let unlink_fifo = async () => {};
    if (piped) {
      const fifo = await open_stdout_pipe(options.fifo);
      unlink_fifo = fifo.unlink;
      fifo_path = options.fifo;
      undo.push(fifo.unlink);
      const terminal_log = await open_log(spec.terminal_log as string);
      const source = new Socket({ fd: fifo.fd, readable: true, writable: false });
      undo.push(() => source.destroy());
      outputs.push(
        new Output({ name: "log_file", source, marker_fd: fifo.fd, log: main_log, view, unblock: async () => {} }),
      );
      outputs.push(
        new Output({
          name: "terminal_log",
          source: output,
          marker_fd: slave_fd,
          log: terminal_log,
          view,
          unblock: terminal.unblock,
        }),
      );
    } else {
      outputs.push(
        new Output({
          name: "log_file",
          source: output,
          marker_fd: slave_fd,
          log: main_log,
          view,
          unblock: terminal.unblock,
        }),
      );
    }
    const launched = await launch(spec, terminal, fifo_path);
    await unlink_fifo();
    return {
      spec,
      process: launched.process,
      exited: launched.exited,
      outputs,
      pane,
      keys,
      grace_ms: spec.grace_ms,
      notes: launched.notes,
      type: terminal.type,
      bytes_read: () => outputs.reduce((sum, one) => sum + one.account.bytes_read, 0),
      bytes_written: () => outputs.reduce((sum, one) => sum + one.account.bytes_written, 0),
      stalled,
      dispose: () => {
        keys.stop();
        pane.close();
        closeSync(slave_fd);
      },
    };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}
