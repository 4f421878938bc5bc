/** A tmux server is started by one client at a time, or tmux's own lock file stays. */
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import type { TmuxServer } from "../../src/drivers/tmux/client.ts";
import { held_options, hold_option } from "../../src/drivers/tmux/options.ts";
import { end_idle_server, TMUX_CONFIG } from "../../src/drivers/tmux/server.ts";
import { kill_session, list_sessions, new_session } from "../../src/drivers/tmux/sessions.ts";

const NAMES = ["one", "two", "three", "four", "five"];

/** Writes down when a client begins and ends that might start a server. */
const WATCHED = `#!/bin/sh
case " $* " in *" -N "* | *" list-sessions "* | *" kill-se"* | *" show-options "*) exec "$REAL_TMUX" "$@" ;; esac
echo begin >>"$STARTS"
"$REAL_TMUX" "$@"
code=$?
echo end >>"$STARTS"
exit $code
`;

async function watched_server(): Promise<{ server: TmuxServer; starts: () => string[] }> {
  const dir = await mkdtemp(join(tmpdir(), "sv-start-"));
  const { stdout: real } = await execa("sh", ["-c", "command -v tmux"]);
  const starts = join(dir, "starts");
  await writeFile(join(dir, "tmux"), WATCHED);
  await chmod(join(dir, "tmux"), 0o700);
  const server = {
    socket: join(dir, "t.sock"),
    config: join(dir, "tmux.conf"),
    env: { PATH: `${dir}:${process.env.PATH}`, TERM: "xterm", REAL_TMUX: real, STARTS: starts },
  };
  await writeFile(server.config, TMUX_CONFIG);
  onTestFinished(async () => {
    for (const name of NAMES) await kill_session(server, name);
    await end_idle_server(server);
    await rm(dir, { recursive: true });
  });
  return { server, starts: () => readFileSync(starts, "utf8").split("\n").filter(Boolean) };
}

test("of many who need a server at once one starts it, and the others wait for that", async () => {
  const { server, starts } = await watched_server();
  const sessions = NAMES.map((name) => new_session(server, name, ["sleep", "1000"]));
  await Promise.all([...sessions, hold_option(server, "@kept", "value")]);
  expect(starts()).toEqual(["begin", "end"]);
  expect((await list_sessions(server)).sort()).toEqual([...NAMES].sort());
  expect([...(await held_options(server, "@kept"))]).toEqual([["@kept", "value"]]);
  expect(existsSync(`${server.socket}.lock`)).toBe(false);
});

test("when the start fails the next one tries, and each is told its own failure", async () => {
  const { server } = await watched_server();
  const nowhere = { ...server, socket: join(server.socket, "nowhere", "t.sock") };
  const tries = NAMES.map((name) => new_session(nowhere, name, ["sleep", "1000"]));
  const failures = await Promise.allSettled(tries);
  for (const [index, failure] of failures.entries())
    expect(String((failure as PromiseRejectedResult).reason)).toContain(`could not start the session ${NAMES[index]}`);
});
