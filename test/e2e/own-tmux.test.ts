import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

test("a person's own tmux, its hostile config and its sessions of the same names have no influence, and are left alone", async () => {
  const supervisor = await TestSupervisor.prepare();
  const theirs = `${supervisor.root}/theirs.sock`;
  const touched = `${supervisor.root}/touched`;
  // Read by any tmux server that is not told otherwise.
  const hostile = `set -g default-command 'touch ${touched}'\nset -g remain-on-exit on\nset -g prefix C-a\nrun-shell 'touch ${touched}'\n`;
  writeFileSync(`${supervisor.root}/.tmux.conf`, hostile);
  await supervisor.shell(`tmux -S ${theirs} -f /dev/null new-session -d -s agent_mine -- sleep 1000`);
  const facts = (await supervisor.shell(`tmux -S ${theirs} display-message -p '#{pid},#{session_id}'`)).stdout.trim();
  const [pid, session] = facts.split(",");
  Object.assign(supervisor.env, { TMUX: `${theirs},${pid},${session?.slice(1)}`, TMUX_PANE: "%0" });
  try {
    await supervisor.boot();
    const agent = await supervisor.deploy({ command: [fixture("idles")] });
    await supervisor.printed(agent, "ready");
    // A session of the very same name on their server.
    await supervisor.shell(`tmux -S ${theirs} new-session -d -s ${agent.tmux_session} -- sleep 1000`);
    const { tmux_socket } = await supervisor.client.call("health");
    const ours = Number((await supervisor.shell(`tmux -S ${tmux_socket} display-message -p '#{pid}'`)).stdout);
    process.kill(ours, "SIGKILL");
    await eventually("a new pane on our own server", async () => {
      const sessions = (await supervisor.shell(`tmux -S ${tmux_socket} list-sessions -F '#{session_name}'`)).stdout;
      // A new spare host's may be there, too.
      return sessions.split("\n").includes(agent.tmux_session as string);
    });
    expect(await supervisor.client.call("kill", { params: { agent: agent.id } })).toMatchObject({
      success: true,
      session_killed: true,
    });
    const left = (await supervisor.shell(`tmux -S ${theirs} list-sessions -F '#{session_name}'`)).stdout
      .trim()
      .split("\n");
    expect(left.sort()).toEqual(["agent_mine", agent.tmux_session].sort());
    expect(() => readFileSync(touched)).toThrow("ENOENT");
  } finally {
    await supervisor.shell(`tmux -S ${theirs} kill-server; rm -f ${theirs} .tmux.conf`);
  }
  await supervisor.dispose();
});
