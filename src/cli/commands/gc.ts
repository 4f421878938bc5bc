/** `supervisor gc`: one sweep now. */
import type { Command } from "commander";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

export function gc_command(program: Command, context: Context): void {
  program
    .command("gc")
    .description("try deferred removals again now")
    .option("--dry-run", "only say what would be removed", false)
    .action(async (options: { dryRun: boolean }) => {
      const result = await (await context.client()).call("gc", { body: { dry_run: options.dryRun } });
      if (context.json()) return print_json(result);
      for (const path of result.removed) print(`${options.dryRun ? "would remove" : "removed"} ${one_line(path)}`);
      for (const file of result.deferred)
        print(
          `${file.verdict} ${one_line(file.path)}${file.holders.map((one) => ` by ${one_line(one.command)} (pid ${one.pid})`).join(",")}${file.reason ? `: ${one_line(file.reason)}` : ""}`,
        );
      if (result.removed.length + result.deferred.length === 0) print("nothing is waiting for removal");
    });
}
