/** `supervisor events`: what happened. */
import type { Command } from "commander";
import { printable_json } from "../../contract/printable.ts";
import type { Context } from "../context.ts";
import { copy_out } from "../copy-out.ts";

export function events_command(program: Command, context: Context): void {
  program
    .command("events")
    .description("what happened, one JSON object a line")
    .option("-f, --follow", "go on")
    .action(async (options: { follow?: boolean }) => {
      const client = await context.client();
      const stream = await client.stream("events", { query: { follow: options.follow } });
      await copy_out(client, stream, process.stdout.isTTY ? printable_json : null);
    });
}
