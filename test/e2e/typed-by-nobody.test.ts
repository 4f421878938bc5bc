/** A pane answers for the terminal that it is. Those answers are for who asked, and a signal by hand is no hang-up. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentRecord } from "../../src/contract/agent.ts";
import { is_alive } from "../../src/drivers/procfs.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

let supervisor: TestSupervisor;
beforeEach(async () => {
  supervisor = await TestSupervisor.start();
});
afterEach(() => supervisor.dispose());

const tmux = async (command: string) =>
  supervisor.shell(`tmux -u -S ${(await supervisor.client.call("health")).tmux_socket} ${command}`);
const now = (agent: AgentRecord) => supervisor.client.call("get_agent", { params: { agent: agent.id } });
const pane_of = async (agent: AgentRecord) => (await tmux(`capture-pane -p -S - -t '=${agent.tmux_session}:'`)).stdout;
const send = (agent: AgentRecord, text: string) =>
  supervisor.client.call("send", { params: { agent: agent.id }, body: { text } });
/** As a person would, when the pane has drawn what was asked: what it answers itself comes before, as what is typed into a terminal comes in its order. */
const type_into_pane = async (agent: AgentRecord, text: string) => {
  await eventually("the pane to have drawn it", async () => (await pane_of(agent)).includes("asking  asked"));
  await tmux(`send-keys -t '=${agent.tmux_session}:' ${text} Enter`);
};
const lose_server = async (agent: AgentRecord) => {
  const pid = Number((await tmux("display-message -p '#{pid}'")).stdout);
  process.kill(pid, "SIGKILL");
  await eventually("a pane on another server", async () => {
    const other = Number((await tmux("display-message -p '#{pid}'")).stdout);
    return other > 0 && other !== pid && (await now(agent)).pane === "open";
  });
};

/** Asks the terminal who it is, what it is called, where the cursor is and how large it is; then says what was typed into it, a line at a time. */
const ASKS = [
  "bash",
  "-c",
  `stty -icanon -echo </dev/tty; printf 'asking \\033[c\\033[>q\\033[6n\\033[18t asked\\r\\n'
   while IFS= read -r line; do printf 'typed %q\\r\\n' "$line"; done </dev/tty`,
];

describe("a query that an agent prints", () => {
  test("is answered by the pane for an interactive agent, as by any terminal", async () => {
    const agent = await supervisor.deploy({ command: ASKS, mode: "interactive" });
    await supervisor.printed(agent, "asked");
    await type_into_pane(agent, "by-hand");
    await supervisor.printed(agent, "by-hand");
    expect(await supervisor.log_text(agent)).toMatch(/typed .*\[\?1;2c.*tmux.*R.*by-hand/);
  });

  test.each(["pty", "pipe"] as const)(
    "is not answered for a headless one (--stdout %s): what it reads is what was typed, and its log has the query",
    async (stdout) => {
      const agent = await supervisor.deploy({ command: ASKS, stdout });
      await supervisor.printed(agent, "asked");
      await eventually("the pane to have drawn it", async () => (await pane_of(agent)).includes("asking  asked"));
      await send(agent, "by-hand");
      await supervisor.printed(agent, "typed by-hand\r\n");
      await lose_server(agent);
      await eventually("the end of the log in the new pane", async () => (await pane_of(agent)).includes("asked"));
      await send(agent, "again");
      await supervisor.printed(agent, "typed again\r\n");
      expect(await supervisor.log_text(agent)).toContain("asking \x1b[c\x1b[>q\x1b[6n\x1b[18t asked");
    },
  );

  test("is not asked again when the end of an interactive agent's log is shown in a new pane", async () => {
    const agent = await supervisor.deploy({ command: ASKS, mode: "interactive" });
    await supervisor.printed(agent, "asked");
    await type_into_pane(agent, "first");
    await supervisor.printed(agent, "first");
    await lose_server(agent);
    await eventually("the end of the log in the new pane", async () => (await pane_of(agent)).includes("first"));
    await send(agent, "second");
    await supervisor.printed(agent, "typed second\r");
  });
});

describe("SIGHUP that somebody sends to a host", () => {
  test("ends no agent whose pane is there, before and after its session moved; a session killed later is still an orderly end", async () => {
    const agent = await supervisor.deploy({ command: [fixture("prints-on-term")] });
    await supervisor.printed(agent, "ready");
    const host = (await now(agent)).host as { pid: number; start_time: number };
    for (const round of ["its own pane", "a later pane"]) {
      for (let count = 0; count < 3; count++) process.kill(host.pid, "SIGHUP");
      // The host answers after it has asked tmux about the last of them, at the latest when the pane shows what comes then.
      await send(agent, `${round}`);
      expect(await now(agent)).toMatchObject({ status: "running", pane: "open" });
      expect(is_alive(host)).toBe(true);
      if (round === "its own pane") await lose_server(agent);
    }
    process.kill(host.pid, "SIGHUP");
    await tmux(`kill-session -t '=${agent.tmux_session}'`);
    expect(await supervisor.client.call("wait", { params: { agent: agent.id } })).toMatchObject({
      success: true,
      status: "terminated",
      cause: "session_killed",
      cleanup: { bytes_logged: 6 + 20_480, survivors: [], handles: "clear" },
    });
  });
});
