/** The files that an agent has before it runs: its prompt, its deploy log, and with `mcp` its configuration. */
import { constants } from "node:fs";
import { open_in_place, remove_in_place } from "../../drivers/in-place.ts";
import { crash_point } from "../../faults/crash-point.ts";
import { all_of } from "../all-of.ts";
import { deploy_log } from "../deploy-log.ts";
import { mcp_config } from "../mcp-config.ts";
import { no_answer, TASK_FILES, within } from "../patience.ts";
import type { Deploying } from "./deploying.ts";

/** Durable when it resolves. */
export async function write_files(run: Deploying): Promise<void> {
  const { services, task, agent, request, undo } = run;
  const files = agent.tracked_files;
  run.step = "writing its files";
  const lane = TASK_FILES.of(task.dir);
  const prompt = async () => {
    await write_new(files.prompt_file as string, request.prompt ?? "");
    crash_point("deploy.prompt_written");
  };
  const log = async () => {
    await write_new(files.deploy_log as string, `${JSON.stringify(deploy_log(agent), null, 2)}\n`);
    crash_point("deploy.log_written");
  };
  const mcp = async () => {
    if (files.mcp_config) await write_new(files.mcp_config, mcp_config(services.workspace, agent.id));
  };
  // The file system makes durable together what is asked for together.
  const writing = lane.in_turn(() => all_of([prompt(), log(), mcp()]));
  // A write that hangs may still make its file when the file system answers: what is undone comes after it.
  const unwrite = async () => {
    await writing.catch(() => undefined /* it is why this is undone */);
    await lane.in_turn(() => Promise.all(Object.values(files).map((path) => remove_in_place(path))));
    crash_point("deploy.files_removed");
  };
  let unwriting: Promise<void> | null = null;
  undo.push(() => {
    // One that hangs is waited for: another beside it would hang as well.
    unwriting ??= unwrite().finally(() => {
      unwriting = null;
    });
    return within(unwriting, () => no_answer(task.dir, "the agent's files are removed when it does"));
  });
  await within(writing, () => no_answer(task.dir, "nothing was started"));
  crash_point("deploy.files_written");
}

async function write_new(path: string, text: string): Promise<void> {
  const file = await open_in_place(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
