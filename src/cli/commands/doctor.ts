/** `supervisor doctor`: is everything there, and does a daemon answer? */
import type { Command } from "commander";
import { containment_setting, verification_setting } from "../../config.ts";
import { message_of } from "../../contract/errors.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

export function doctor_command(program: Command, context: Context): void {
  program
    .command("doctor")
    .description("what this machine has and what is missing; works without a supervisor")
    .action(async () => {
      const { examine } = await import("../../doctor/doctor.ts");
      const { env } = context;
      const checks = await examine(context.workspace(), containment_setting(env), verification_setting(env));
      const daemon = await context
        .client()
        .then((client) => client.call("health"))
        .then(
          (health) => `pid ${health.pid}, ${health.running} agents running, tmux -S ${health.tmux_socket}`,
          (error) => message_of(error),
        );
      const ok = checks.every((one) => one.ok);
      if (context.json()) print_json({ ok, checks, daemon });
      else {
        for (const one of checks) print(`${one.ok ? "ok     " : "MISSING"}  ${one.name.padEnd(12)} ${one.detail}`);
        print(`         ${"supervisor".padEnd(12)} ${daemon}`);
      }
      context.exit_code(ok ? 0 : 1);
    });
}
