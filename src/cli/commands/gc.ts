/** `supervisor gc`: one sweep now. */
import type { Command } from "commander";
import type { GarbageItem } from "../../contract/operations/supervisor.ts";
import { one_line } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { print, print_json } from "../output.ts";

export function gc_command(program: Command, context: Context): void {
  program
    .command("gc")
    .description("sweep now: deferred removals, expired archives, what belongs to nothing")
    .option("--dry-run", "only say what would be done, and why")
    .action(async (options: { dryRun?: boolean }) => {
      const result = await (await context.client()).call("gc", { body: { dry_run: options.dryRun } });
      if (context.json()) return print_json(result);
      for (const item of result.items)
        print(
          `${word_of(item)} ${one_line(item.path)}: ${one_line(item.why)}${item.error ? `: ${one_line(item.error)}` : ""}`,
        );
      if (result.items.length === 0) print("there is nothing to sweep");
    });
}

function word_of({ action, result }: GarbageItem): string {
  if (result === "left") return action === "wait" ? "waits" : "left alone";
  if (result === "failed") return `could not ${action}`;
  if (result === "dry_run") return `would ${action}`;
  return action === "move" ? "moved" : "removed";
}
