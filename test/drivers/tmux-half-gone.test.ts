/** A tmux server that is told to end while a session is being started stays with that session and refuses everybody: ours is seen off. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import type { ProcessRef } from "../../src/contract/receipt.ts";
import { is_alive, process_ref_of } from "../../src/drivers/procfs.ts";
import type { TmuxServer } from "../../src/drivers/tmux/client.ts";
import { end_idle_server, TMUX_CONFIG } from "../../src/drivers/tmux/server.ts";
import { kill_session, list_sessions, new_session } from "../../src/drivers/tmux/sessions.ts";
import { eventually } from "../support/supervisor.ts";

/** What `new-session` does that was let in just before: the session is made when the others have been ended. Once. */
const LATE = "set-hook -gu session-closed ; new-session -d -s late 'sleep 1000'";

async function half_gone(): Promise<{ server: TmuxServer; process: ProcessRef; late: ProcessRef }> {
  const dir = await mkdtemp(join(tmpdir(), "sv-half-gone-"));
  const server: TmuxServer = {
    socket: join(dir, "t.sock"),
    config: join(dir, "tmux.conf"),
    env: { PATH: process.env.PATH as string, TERM: "xterm" },
  };
  await writeFile(server.config, TMUX_CONFIG);
  const tmux = (...args: string[]) => execa("tmux", ["-S", server.socket, ...args], { reject: false });
  const first = await new_session(server, "first", ["sleep", "1000"]);
  const known = server.process as ProcessRef;
  onTestFinished(async () => {
    if (is_alive(known)) process.kill(known.pid, "SIGKILL");
    for (const name of ["next", "late"]) await kill_session({ ...server, process: null }, name);
    await end_idle_server(server);
    await rm(dir, { recursive: true });
  });
  await tmux("set-hook", "-g", "session-closed", LATE);
  await tmux("kill-server");
  // It refuses from the moment that it is told; the session is there when its process is.
  const late = await eventually("the late session", () => child_of(known.pid, first));
  expect((await tmux("list-sessions")).stderr).toContain("server exited unexpectedly");
  return { server, process: known, late };
}

async function child_of(pid: number, except: number): Promise<ProcessRef | null> {
  const { stdout } = await execa("ps", ["-o", "pid=", "--ppid", String(pid)], { reject: false });
  const late = stdout
    .split("\n")
    .map(Number)
    .find((one) => one > 0 && one !== except);
  return late === undefined ? null : process_ref_of(late);
}

test("ours is told once more, and a session is started on the next one", async () => {
  const { server, process: old, late } = await half_gone();
  await new_session(server, "next", ["sleep", "1000"]);
  expect(is_alive(old)).toBe(false);
  await expect.poll(() => is_alive(late)).toBe(false);
  expect(server.process?.pid).not.toBe(old.pid);
  expect(await list_sessions(server)).toEqual(["next"]);
});

test("one that answered nobody here, so that it may be anybody's, is left alone", async () => {
  const { server, process: old, late } = await half_gone();
  await expect(new_session({ ...server, process: null }, "next", ["sleep", "1000"])).rejects.toThrow(
    "exited unexpectedly",
  );
  expect(is_alive(old) && is_alive(late)).toBe(true);
});
