/** `supervisor finding`: an agent says what it found. */
import type { Command } from "commander";
import { message_of, SupervisorError } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { print_json } from "../output.ts";
import { reporter_of } from "../reporter.ts";

export function finding_command(program: Command, context: Context): void {
  program
    .command("finding")
    .description("report a finding")
    .requiredOption("--type <finding>", "issue, solution, insight, recommendation, or another word")
    .requiredOption("--severity <severity>", "low, medium, high or critical, or another word")
    .requiredOption("--message <text>", "what was found")
    .option("--data <json>", "a JSON object", "{}")
    .option("--agent <agent>", "default: SUPERVISOR_AGENT_ID")
    .action(async (options: { type: string; severity: string; message: string; data: string; agent?: string }) => {
      const { agent, reporter } = reporter_of(context, options.agent);
      const body = {
        finding_type: options.type,
        severity: options.severity,
        message: options.message,
        data: parse_object(options.data),
        reporter,
      };
      const answer = await (await context.client()).call("finding", { params: { agent }, body });
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
