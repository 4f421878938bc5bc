/** Sets one agent up: terminal, logs, pane, program. A failure at any step undoes the earlier ones. */
import { closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Socket } from "node:net";
import { remove_groups } from "../containment/groups.ts";
import type { CgroupRef } from "../contract/containment.ts";
import type { LaunchSpec, PaneRequest } from "../contract/host-protocol.ts";
import type { ProcessRef } from "../contract/receipt.ts";
import { crash_point } from "../faults/crash-point.ts";
import { make_groups } from "./agent-groups.ts";
import { AgentLogs, type LogEvents } from "./agent-logs.ts";
import { require_descriptors } from "./descriptors.ts";
import { type Launched, launch, open_stdout_pipe } from "./launch.ts";
import { Output } from "./output.ts";
import { as_it_is, PlainView } from "./plain-view.ts";
import { DEFAULT_SIZE, open_terminal, type Terminal } from "./terminal.ts";
import { View } from "./view.ts";

export interface Agent {
  /** What it was launched with, but for its environment: that is the program's alone from here on. */
  spec: Omit<LaunchSpec, "env">;
  process: ProcessRef;
  birth: Launched["birth"];
  exited: Launched["exited"];
  outputs: Output[];
  view: View;
  grace_ms: number;
  /** The control groups that it was started in. */
  cgroups: CgroupRef[];
  readonly notes: string[];
  type: Terminal["type"];
  /** Moves the view to another pane. Rejects when that is gone already. */
  move_view(request: PaneRequest): Promise<void>;
  bytes_read(): number;
  bytes_written(): number;
  logs: AgentLogs;
  /** Gives the terminal's last descriptors back. */
  dispose(): void;
}

export interface AgentOptions extends LogEvents {
  /** One that was opened ahead, of the default size, or null. */
  terminal: Terminal | null;
  /** Where the named pipe for stdout may be made, for a moment. */
  fifo: string;
  /** The pane's terminal hung up. */
  on_hang_up(): void;
}

/** Starts the agent. Rejects with the reason when any part cannot be had; then nothing is left of the others. */
export async function start_agent(spec: LaunchSpec, options: AgentOptions): Promise<Agent> {
  const undo: (() => unknown)[] = [];
  const give_back = ({ output, slave_fd }: Terminal) =>
    undo.push(
      () => output.destroy(),
      () => closeSync(slave_fd),
    );
  try {
    if (options.terminal) give_back(options.terminal);
    require_descriptors();
    let terminal: Terminal | null = null;
    const view = new View({
      typed: (data) => terminal?.type(data),
      resized: (size) => terminal?.resize(...size),
      hung_up: options.on_hang_up,
    });
    undo.push(() => view.close());
    terminal = options.terminal ?? (await open_terminal(spec.mode, DEFAULT_SIZE));
    if (!options.terminal) give_back(terminal);
    const { slave_fd, master_fd, output, type, lost_typing, resize, unblock } = terminal;
    const size = view.size();
    if (size) resize(...size);

    const logs = new AgentLogs(spec, options);
    const open_log = async (role: string, path: string) => {
      const log = await logs.open(role, path);
      undo.push(
        () => log.destroy(),
        () => rm(path, { force: true }),
      );
      return log;
    };
    // Only what an interactive agent writes to its terminal may make the pane answer: see plain-view.ts. One filter a stream.
    const showing = (wants_answers: boolean) => {
      const filter = wants_answers ? as_it_is() : new PlainView();
      return (chunk: Buffer) => view.show(chunk, filter);
    };
    const on_terminal = showing(spec.mode === "interactive");
    const piped = spec.stdout === "pipe" && spec.terminal_log !== null;
    const main_log = await open_log("log_file", spec.log_file);
    const outputs: Output[] = [];
    let fifo_path: string | null = null;
    let unlink_fifo = async () => {};
    if (piped) {
      const fifo = await open_stdout_pipe(options.fifo);
      unlink_fifo = fifo.unlink;
      fifo_path = options.fifo;
      undo.push(fifo.unlink);
      const terminal_log = await open_log("terminal_log", spec.terminal_log as string);
      const source = new Socket({ fd: fifo.fd, readable: true, writable: false });
      undo.push(() => source.destroy());
      outputs.push(
        new Output({
          name: "log_file",
          source,
          source_fd: fifo.fd,
          marker_fd: fifo.fd,
          log: main_log,
          view: showing(false),
          unblock: async () => {},
        }),
      );
      outputs.push(
        new Output({
          name: "terminal_log",
          source: output,
          source_fd: master_fd,
          marker_fd: slave_fd,
          log: terminal_log,
          view: on_terminal,
          unblock,
        }),
      );
    } else {
      outputs.push(
        new Output({
          name: "log_file",
          source: output,
          source_fd: master_fd,
          marker_fd: slave_fd,
          log: main_log,
          view: on_terminal,
          unblock,
        }),
      );
    }
    const { cgroups, must_join, notes } = make_groups(spec);
    undo.push(() => remove_groups(cgroups));
    const launched = await launch(spec, terminal, { stdout_path: fifo_path, cgroups, must_join });
    crash_point("host.program_started");
    // From here on a program runs: nothing but its own end may undo it.
    await unlink_fifo().catch((error) => notes.push(`its pipe was left behind: ${(error as Error).message}`));
    remove_groups(cgroups.filter((one) => !launched.cgroups.includes(one)));
    const { env: _env, ...remembered } = spec;
    return {
      spec: remembered,
      process: launched.process,
      birth: launched.birth,
      exited: launched.exited,
      outputs,
      view,
      grace_ms: spec.grace_ms,
      cgroups: launched.cgroups,
      get notes() {
        const lost = lost_typing();
        return [...notes, ...launched.notes, ...(lost === null ? [] : [lost])];
      },
      type,
      move_view: async (request) => {
        await view.move(request, logs.paths());
        // A terminal whose size stays tells nobody. The new pane says its size next; the change makes a full-screen program draw anew.
        if (spec.mode === "interactive") resize(DEFAULT_SIZE[0] - 1, DEFAULT_SIZE[1]);
      },
      bytes_read: () => outputs.reduce((sum, one) => sum + one.account.bytes_read, 0),
      bytes_written: () => outputs.reduce((sum, one) => sum + one.account.bytes_written, 0),
      logs,
      dispose: () => {
        view.close();
        closeSync(slave_fd);
      },
    };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}
