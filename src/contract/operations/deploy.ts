/** The beginning of an agent: what a deploy may ask for. */
import { z } from "zod";
import { agent_mode, stdout_kind } from "../agent.ts";
import { agent_view } from "../agent-view.ts";
import { AGENT_TYPE_PATTERN, TASK_ID_PATTERN } from "../ids.ts";
import { log_full, log_max_bytes } from "../log-limit.ts";
import { cleanup_policy } from "../receipt.ts";
import { define, grace_ms, none } from "./define.ts";

const no_nul = (text: string) => !text.includes("\0");
const argument = z.string().refine(no_nul, "must not contain a NUL byte");
const environment = z.record(
  z
    .string()
    .min(1)
    .refine((name) => no_nul(name) && !name.includes("="), "is not a variable name"),
  argument,
);

export const deploy_request = z.strictObject({
  task_id: z
    .string()
    .regex(TASK_ID_PATTERN, "must look like TASK-20251029-225319-45548b6a")
    .optional()
    .describe("the task it belongs to; without one, its parent's, else a common one"),
  type: z
    .string()
    .regex(AGENT_TYPE_PATTERN, "must be 1 to 64 letters, digits, '_' or '-', beginning with a letter or digit")
    .optional()
    .describe("what kind of agent (investigator, builder, fixer, …); becomes part of its id"),
  prompt: z
    .string()
    .max(8 * 1024 * 1024)
    .optional()
    .describe("its instructions: they are its stdin, byte for byte, and in SUPERVISOR_PROMPT_FILE"),
  parent: z.string().optional().describe("the agent it works for"),
  /** The program and its arguments; or else a profile has them. */
  command: z
    .array(argument)
    .min(1)
    .refine((command) => command[0] !== "", "must begin with a program")
    .optional()
    .describe("its program and arguments; or else give a profile"),
  /** What is left out below is what the profile says, else the default: type agent, headless, pty, 5000 ms, archive. */
  profile: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe("how the agent is started: claude, codex, gemini, aider, opencode, shell, or one of the config file"),
  /** Appended to the command, or to the profile's arguments. */
  args: z.array(argument).default([]).describe("more arguments, after those of the profile or command"),
  /** A session to go on with, in the profile's own way. It becomes an argument, and must not look like an option. */
  resume: argument
    .min(1)
    .max(1000)
    .regex(/^[^-]/, "must not begin with '-'")
    .optional()
    .describe("a session of the agent's program to go on with (profiles only)"),
  cwd: argument.describe("the directory it runs in, absolute"),
  /** Weightier than the profile's variables, and those than `caller_env`. */
  env: environment.default({}).describe("its environment variables, over those that it inherits"),
  /** What the agent inherits. With `clean_env` only what the profile passes on by name. */
  caller_env: environment.default({}),
  clean_env: z.boolean().default(false).describe("inherit only what the profile passes on by name"),
  mode: agent_mode.optional(),
  stdout: stdout_kind.optional(),
  grace_ms: grace_ms.optional(),
  cleanup: cleanup_policy
    .optional()
    .describe("what becomes of its files when it ends by itself (default: archive, or the profile's)"),
  /** Where there is no room: its place among those that wait, or a refusal. */
  priority: z
    .int()
    .min(-1_000)
    .max(1_000)
    .default(0)
    .describe("where it must wait for room: higher goes first, equals in the order in which they came"),
  queue: z
    .boolean()
    .default(true)
    .describe("wait where max_concurrent agents run already; false: be refused instead (limit_reached)"),
  /** Limits on all processes of the agent together: bytes, processes and threads, cores. Absent = none. */
  memory_max: z.int().min(1).optional().describe("at most so much memory, in bytes, for all its processes"),
  pids_max: z.int().min(1).optional().describe("at most so many processes and threads"),
  cpu_max: z.number().min(0.01).max(100_000).optional().describe("at most so many cores of CPU time"),
  log_max_bytes: log_max_bytes
    .optional()
    .describe("at most so many bytes in one log file (default: the config's logs.max_bytes)"),
  log_full: log_full
    .optional()
    .describe("what happens then: rotate (the default) begins a new file at a line's end, pause makes the agent wait"),
  /** Makes the file of SUPERVISOR_MCP_CONFIG, which connects the agent to this supervisor as itself. */
  mcp: z
    .boolean()
    .default(false)
    .describe("make an MCP configuration that connects the agent to this server as itself (SUPERVISOR_MCP_CONFIG)"),
});
export type DeployRequest = z.infer<typeof deploy_request>;

export const deploy_operations = {
  deploy: define({
    method: "POST",
    path: "/v1/agents",
    description: "Start an agent. Answers when it runs, or when it waits in the queue (status `queued`).",
    params: none,
    query: none,
    body: deploy_request,
    response: agent_view,
    mcp: [
      {
        tool: "deploy_headless_agent",
        description:
          "Start an agent in the background and answer when it runs. Use it to hand a piece of a task to another agent. Without `command` or `profile` it runs Claude Code (the profile claude: claude --print, stream-json) on the prompt, in this server's directory and environment; `profile` starts another known agent, `command` any other program. Answers {success, agent_id, tmux_session, type, parent, task_id, status, workspace, …}; then follow it with get_agent_output, wait_for_agent or get_real_task_status, and end it with kill_real_agent.",
        rename: { type: "agent_type" },
        needs: ["prompt"],
        hide: ["caller_env"],
        fills: ["cwd"],
        hints: {},
      },
      {
        tool: "spawn_child_agent",
        description:
          "Start a child agent of an agent: as deploy_headless_agent, in the parent's task. For agents that need a specialist for a part of their work. Answers as deploy_headless_agent.",
        rename: { type: "child_agent_type", prompt: "child_prompt", parent: "parent_agent_id" },
        needs: ["prompt", "parent"],
        self: "parent",
        hide: ["caller_env"],
        fills: ["cwd"],
        hints: {},
      },
    ],
  }),
} as const;
