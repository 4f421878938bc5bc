/** What an agent inherits of whoever deploys it: decided by the daemon, for every kind of client. */
import { expect, test } from "vitest";
import { deploy_request } from "../../src/contract/operations/deploy.ts";
import { plan_deploy } from "../../src/daemon/profiles/plan.ts";

const CALLER = { PATH: "/bin", SECRET: "s", TERM: "x", TMUX: "x", TMUX_PANE: "x", STY: "x", COLUMNS: "7", LINES: "7" };
const planned = (request: object) =>
  plan_deploy(
    new Map(),
    { max_bytes: null, full: "rotate" },
    deploy_request.parse({ command: ["true"], cwd: "/", caller_env: CALLER, ...request }),
  ).env;

test("the caller's terminal, and what makes the caller an agent, do not reach an agent; all else does", () => {
  expect(planned({ caller_env: { ...CALLER, SUPERVISOR_AGENT_ID: "me", SUPERVISOR_COOKIE: "mine" } })).toEqual({
    PATH: "/bin",
    SECRET: "s",
  });
});

test("what is given explicitly is passed on, whatever it is called", () => {
  expect(planned({ env: { TERM: "dumb", COLUMNS: "80" } })).toEqual({
    PATH: "/bin",
    SECRET: "s",
    TERM: "dumb",
    COLUMNS: "80",
  });
});

test("a clean environment without a profile has nothing of the caller's", () => {
  expect(planned({ clean_env: true, env: { A: "1" } })).toEqual({ A: "1" });
});
