/** `supervisor mcp`: the supervisor as tools for agents, over stdin and stdout. What the server needs is loaded only here. */
import type { Command } from "commander";
import { base_environment, callers_environment, config_environment, runtime_base } from "../../config.ts";
import type { Context } from "../context.ts";

export function mcp_command(program: Command, context: Context): void {
  program
    .command("mcp")
    .description("an MCP server on stdin and stdout; starts a supervisor for the workspace if none runs")
    .option("--no-start", "do not start a supervisor")
    .option("--agent <agent>", "the agent that this server speaks for (default: SUPERVISOR_AGENT_ID)")
    .action(async (options: { start: boolean; agent?: string }) => {
      const agent_id = options.agent ?? context.env.SUPERVISOR_AGENT_ID;
      const workspace = context.workspace();
      const start = async () => {
        const { start_in_session } = await import("../../daemon/start-in-session.ts");
        await start_in_session({
          workspace,
          runtime_base: runtime_base(context.env),
          base_env: base_environment(context.env),
          settings: config_environment(context.env),
        });
      };
      const [{ run_mcp_server }, { VERSION }] = await Promise.all([
        import("../../mcp/server.ts"),
        import("../../daemon/version.ts"),
      ]);
      await run_mcp_server({
        version: VERSION,
        caller: { agent_id, cwd: context.cwd, env: callers_environment(context.env) },
        find: () => context.client(),
        // The supervisor of an agent was there when the agent was deployed: if it is gone, somebody stopped it.
        start: options.start && agent_id === undefined ? start : null,
      });
      context.exit_code(0);
    });
}
