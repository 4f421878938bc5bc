/** `supervisor verify`: who holds the tracked files, by lsof. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print, print_json, print_table } from "../output.ts";

export function verify_command(program: Command, context: Context): void {
  program
    .command("verify")
    .description("who holds the tracked files, by lsof; exit 1 if an ended agent's file is held")
    .argument("[agent]")
    .action(async (id?: string) => {
      const answer = await (await context.client()).call("verify", { body: { agent: id } });
      if (context.json()) print_json(answer);
      else {
        const rows = answer.files
          .filter((file) => file.exists)
          .map((file) => [
            file.verdict,
            file.role,
            file.path,
            file.reason ??
              file.holders
                .map((one) => `${one.command} (pid ${one.pid}, fd ${one.fd}, ${one.access}, ${one.whose})`)
                .join(", "),
          ]);
        if (rows.length === 0) print("no tracked file exists");
        else print_table(["VERDICT", "FILE", "PATH", "HOLDERS"], rows);
      }
      context.exit_code(answer.success ? 0 : 1);
    });
}
