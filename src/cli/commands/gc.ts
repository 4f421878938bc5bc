/** `supervisor gc`: one sweep now. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { print, print_json, printable } from "../output.ts";

export function gc_command(program: Command, context: Context): void {
  program
    .command("gc")
    .description("try deferred removals again now")
    .option("--dry-run", "only say what would be removed", false)
    .action(async (options: { dryRun: boolean }) => {
      const result = await (await context.client()).call("gc", { body: { dry_run: options.dryRun } });
      if (context.json()) return print_json(result);
      for (const path of result.removed) print(`${options.dryRun ? "would remove" : "removed"} ${path}`);
      for (const file of result.deferred)
        print(
          `${file.verdict} ${file.path}${file.holders.map((one) => ` by ${printable(one.command)} (pid ${one.pid})`).join(",")}${file.reason ? `: ${printable(file.reason)}` : ""}`,
        );
      if (result.removed.length + result.deferred.length === 0) print("nothing is waiting for removal");
    });
}
