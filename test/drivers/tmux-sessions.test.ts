/** Many sessions are ended with one client: what is gone is told as gone, and nothing else. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { TmuxServer } from "../../src/drivers/tmux/client.ts";
import { kill_sessions } from "../../src/drivers/tmux/kill-sessions.ts";
import { end_idle_server, TMUX_CONFIG } from "../../src/drivers/tmux/server.ts";
import { list_sessions, new_session, pane_process } from "../../src/drivers/tmux/sessions.ts";

async function own_server(): Promise<TmuxServer> {
  const dir = await mkdtemp(join(tmpdir(), "sv-sessions-"));
  const server = {
    socket: join(dir, "t.sock"),
    config: join(dir, "tmux.conf"),
    env: { PATH: process.env.PATH as string, TERM: "xterm" },
  };
  await writeFile(server.config, TMUX_CONFIG);
  onTestFinished(async () => {
    await end_idle_server(server);
    await rm(dir, { recursive: true });
  });
  return server;
}

test("those that are there and those that are not are gone; the others stay", async () => {
  const server = await own_server();
  for (const name of ["agent_one-1", "agent_one-10", "agent_two", "stays"])
    await new_session(server, name, ["sleep", "1000"]);
  const asked = ["agent_none", "agent_one-1", "agent_two", "agent_nor_this"];
  expect([...(await kill_sessions(server, asked))].sort()).toEqual([...asked].sort());
  expect(await list_sessions(server)).toEqual(["agent_one-10", "stays"]);
  // The last ones leave an empty list, which is an answer as well.
  const last = ["agent_one-10", "stays"];
  expect([...(await kill_sessions(server, last))].sort()).toEqual(last);
  expect(await list_sessions(server)).toEqual([]);
});

test("one alone, and one with a name that tmux could take for something else, are ended like the others", async () => {
  const server = await own_server();
  for (const name of ["one", "two", 'odd "name"; kill-server']) await new_session(server, name, ["sleep", "1000"]);
  expect([...(await kill_sessions(server, ["one"]))]).toEqual(["one"]);
  expect((await kill_sessions(server, ["two", "none", 'odd "name"; kill-server'])).size).toBe(3);
  expect(await list_sessions(server)).toEqual([]);
});

test("where no server runs all are gone; where one does not answer nobody can tell", async () => {
  const server = await own_server();
  expect((await kill_sessions(server, ["one", "two"])).size).toBe(2);
  await new_session(server, "one", ["sleep", "1000"]);
  const pid = server.process?.pid as number;
  process.kill(pid, "SIGSTOP");
  try {
    expect((await kill_sessions(server, ["one", "two"])).size).toBe(0);
    // As it is for a daemon that has not seen the server before.
    expect((await kill_sessions({ ...server, process: null }, ["one", "two"])).size).toBe(0);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  // What the clients that were given up had asked for may be obeyed by now, or not.
  expect((await kill_sessions(server, ["one", "two"])).size).toBe(2);
});

test("of a session that is not there, beside others or alone, it is known that nobody runs in it", async () => {
  const server = await own_server();
  expect(await pane_process(server, "none")).toBe(null);
  const pid = await new_session(server, "one", ["sleep", "1000"]);
  expect(await pane_process(server, "one")).toMatchObject({ pid });
  expect(await pane_process(server, "on")).toBe(null);
  expect((await kill_sessions(server, ["one"])).size).toBe(1);
  expect(await pane_process(server, "one")).toBe(null);
});
