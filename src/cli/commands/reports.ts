/** What an agent says of itself: progress and findings. Inside an agent, its own id and the daemon's socket are known. */
import type { Command } from "commander";
import { message_of, SupervisorError } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";
import { whole_number } from "../values.ts";

export function report_commands(program: Command, context: Context): void {
  const self = (given?: string) => {
    const agent = given ?? context.env.SUPERVISOR_AGENT_ID;
    if (!agent)
      throw new SupervisorError("invalid_request", "say which agent reports: --agent ID (inside an agent it is known)");
    return { agent };
  };
  program
    .command("progress")
    .description("report progress; status 'completed' or 'failed' ends the agent")
    .requiredOption("--status <status>")
    .requiredOption("--message <text>")
    .option("--progress <percent>", "0 to 100", whole_number)
    .option("--agent <id>", "default: SUPERVISOR_AGENT_ID")
    .action(async (options: { status: string; message: string; progress?: number; agent?: string }) => {
      const { status, message, progress } = options;
      const answer = await (await context.client()).call("progress", {
        params: self(options.agent),
        body: { status, message, progress },
      });
      if (context.json()) print_json(answer);
    });
  program
    .command("finding")
    .description("report a finding")
    .requiredOption("--type <type>")
    .requiredOption("--severity <severity>")
    .requiredOption("--message <text>")
    .option("--data <json>", "a JSON object", "{}")
    .option("--agent <id>", "default: SUPERVISOR_AGENT_ID")
    .action(async (options: { type: string; severity: string; message: string; data: string; agent?: string }) => {
      const body = {
        finding_type: options.type,
        severity: options.severity,
        message: options.message,
        data: parse_object(options.data),
      };
      const answer = await (await context.client()).call("finding", { params: self(options.agent), body });
      if (context.json()) print_json(answer);
    });
}

function parse_object(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (value && typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw new SupervisorError("invalid_request", `--data is not JSON: ${message_of(error)}`);
  }
  throw new SupervisorError("invalid_request", "--data must be a JSON object");
}
