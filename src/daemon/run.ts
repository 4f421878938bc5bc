/**
 * The daemon: boots in order, serves, stops in reverse. Runs in the foreground; owns the registry and the removal of files.
 * Stopping it leaves the agents running under their hosts; the next one adopts them.
 */
import { rm, writeFile } from "node:fs/promises";
import { find_containment } from "../containment/place.ts";
import { is_foreign } from "../contract/agent.ts";
import { deferred } from "../contract/deferred.ts";
import { message_of } from "../contract/errors.ts";
import { canary_file, cgroup_directory, daemon_socket } from "../contract/paths.ts";
import { is_ended } from "../contract/status.ts";
import { end_idle_server, TMUX_CONFIG } from "../drivers/tmux/server.ts";
import { arm, crash_point } from "../faults/crash-point.ts";
import { end_leftover_hooks } from "./alerts/hook.ts";
import { start_server } from "./api/server.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { load_config } from "./config/load.ts";
import { resume_sessions } from "./ending/later.ts";
import { ends_settled, patiently } from "./ending/wait-for-ends.ts";
import { start_sweeper } from "./gc.ts";
import { kill_all } from "./kill.ts";
import { remove_leftover_groups } from "./leftover-groups.ts";
import { sweep_leftovers } from "./leftovers.ts";
import { lock_workspace, read_daemon_info } from "./lock.ts";
import { looker_of } from "./looker.ts";
import { make_services } from "./make-services.ts";
import type { DaemonOptions } from "./options.ts";
import { make_profiles } from "./profiles/profiles.ts";
import { reconcile } from "./reconcile.ts";
import { Registry } from "./registry/registry.ts";
import { require_programs } from "./require-programs.ts";
import { choose_runtime_dir, prepare_runtime_dir, remove_runtime_dir } from "./runtime-dir.ts";
import type { Services } from "./services.ts";
import { HOST_PROGRAM } from "./start-host.ts";
import { Verifier } from "./verifier.ts";
import { VERSION } from "./version.ts";
import { connected_hosts, whose_process } from "./whose.ts";
import { prepare_workspace } from "./workspace.ts";

export interface Daemon {
  /** What its parts share: for tests that run it in their own process. */
  services: Services;
  pid: number;
  socket: string;
  workspace: string;
  adopted: number;
  /** Agents that are not over yet. */
  running(): number;
  /** Resolves when a client asked for a stop, or the workspace was lost (then with the reason). */
  stop_requested: Promise<string | null>;
  stop(options: { agents: boolean }): Promise<void>;
}

/** Boots a daemon. Rejects with everything undone; resolves when it serves. */
export async function start_daemon(options: DaemonOptions): Promise<Daemon> {
  arm(options.crash ?? null);
  const loaded = await load_config(options.config_places);
  const profiles = make_profiles(loaded);
  await require_programs();
  const workspace = await prepare_workspace(options.workspace);
  const before = await read_daemon_info(workspace);
  const runtime_dir = await choose_runtime_dir(workspace, options.runtime_base, before);
  const socket = daemon_socket(runtime_dir);
  const stop_requested = deferred<string | null>();
  const lock = await lock_workspace(workspace, { socket, runtime_dir, version: VERSION }, (reason) =>
    stop_requested.resolve(reason),
  );
  const undo: (() => Promise<unknown>)[] = [() => lock.release(false)];
  try {
    await prepare_runtime_dir(runtime_dir);
    const registry = new Registry(workspace, (error) =>
      options.log.error(
        { error: message_of(error) },
        "the registry could not be written; it is tried again with the next change",
      ),
    );
    await registry.load();
    for (const warning of registry.warnings) options.log.warn(warning);
    const containment = find_containment(options.containment, cgroup_directory(process.getuid?.() ?? 0, workspace), {
      take: true,
    });
    options.log.info({ mode: containment.report.mode }, `containment: ${containment.report.detail}`);
    const verifier = new Verifier(looker_of(options), () => connected_hosts(services));
    undo.push(() => verifier.close());
    const services = make_services({
      workspace,
      runtime_dir,
      socket,
      base_env: options.base_env,
      log: options.log,
      clock: options.clock ?? SYSTEM_CLOCK,
      host_program: options.host_program ?? HOST_PROGRAM,
      config: loaded.config,
      profiles,
      containment,
      registry,
      verifier,
      request_stop: () => stop_requested.resolve(null),
    });
    const { metrics, panes } = services;
    // What is there was left by a daemon that was killed, or planted: it is never opened.
    await rm(services.tmux.config, { force: true });
    await writeFile(services.tmux.config, TMUX_CONFIG, { flag: "wx", mode: 0o600 });
    await services.audit.open(canary_file(runtime_dir));
    undo.push(() => services.audit.close());
    await verifier.open(canary_file(runtime_dir), whose_process(services));
    services.events.listen(metrics.hear);
    verifier.watch = metrics;
    registry.on_write = metrics.registry_written;
    await end_leftover_hooks(runtime_dir);
    await sweep_leftovers(services);
    crash_point("start.swept");
    for (const warning of registry.warnings)
      services.events.emit({ type: "warning", agent_id: null, message: warning });
    registry.on_warning = (warning) => {
      options.log.warn(warning);
      services.events.emit({ type: "warning", agent_id: null, message: warning });
    };
    services.alerts.start();
    undo.push(() => services.alerts.stop());
    services.queue.open();
    undo.push(async () => services.queue.close());
    // Who is taken up may need a pane, and leave room for a spare host.
    undo.push(() => panes.close());
    undo.push(() => services.spares.close());
    // Hosts that have not answered yet are hung up on.
    undo.push(async () => services.halted.abort());
    const adopted = await reconcile(services, before?.boot_id ?? null);
    resume_sessions(services);
    remove_leftover_groups(services);
    const stop_sweeper = start_sweeper(services, options.sweep_every_ms);
    undo.push(async () => stop_sweeper());
    await services.queue.restore();
    services.queue.pump();
    const server = await start_server(services);
    services.spares.fill();
    const running = () => registry.agents().filter((agent) => !is_foreign(agent) && !is_ended(agent.status)).length;

    const stop = async ({ agents }: { agents: boolean }) => {
      services.stopping = true;
      services.queue.close();
      await patiently(services, Promise.all(services.deploys.values()));
      services.events.let_all_go();
      if (agents) {
        const reason = "the supervisor was stopped with its agents";
        // A failure is logged there; the agent goes on ending under the next daemon.
        await patiently(
          services,
          kill_all(services, () => true, { reason, cleanup: "archive" }),
        );
      }
      await patiently(services, ends_settled(services));
      services.halted.abort();
      if (services.ends.size > 0)
        options.log.warn(
          { agents: [...services.ends.keys()] },
          "ends are not complete; the next start goes on with them",
        );
      await services.spares.close();
      await panes.close();
      await services.alerts.stop();
      stop_sweeper();
      remove_leftover_groups(services);
      await server.close();
      await patiently(services, services.sweep);
      for (const link of services.hosts.values()) link.close();
      await registry.settle();
      registry.freeze();
      await services.audit.close();
      await verifier.close();
      const left = running();
      let tmux_left = false;
      if (left === 0) {
        await end_idle_server(services.tmux).catch((error) => {
          tmux_left = true;
          options.log.warn(
            { error: message_of(error) },
            "the tmux server was left running; the next start looks at it again",
          );
        });
        await remove_runtime_dir(runtime_dir);
      }
      // daemon.json leads the next daemon to the hosts, or to a frozen tmux server.
      await lock.release(left > 0 || tmux_left);
    };
    return {
      services,
      pid: process.pid,
      socket,
      workspace,
      adopted,
      running,
      stop_requested: stop_requested.promise,
      stop,
    };
  } catch (error) {
    for (const back of undo.reverse())
      await back().catch((failed) => options.log.error({ error: message_of(failed) }, "undoing a start failed"));
    throw error;
  }
}
