/** Values that only a running supervisor knows. A shell waits for them at each press of Tab: without one, or when it is slow, there are none. */
import type { Client } from "../../client/client.ts";
import type { Environment } from "../../config.ts";
import { one_line } from "../../contract/printable.ts";
import type { Candidate, Kind } from "./words.ts";

/** A person who pressed Tab types on after this. In ms. */
const PATIENCE_MS = 1_000;
/** Of agents that have ended, the newest so many. */
const ENDED = 100;

type Asked = Extract<Kind, { ask: unknown }>["ask"];

export async function ask_for(what: Asked, client: () => Promise<Client>, env: Environment): Promise<Candidate[]> {
  // Names alone: a value may be a secret.
  if (what === "variable") return Object.keys(env).map((value) => ({ value, about: "" }));
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const supervisor = await client();
  if (what === "profile") {
    const profiles = await supervisor.call("list_profiles", {}, { signal });
    return profiles.map(({ name, description }) => ({ value: name, about: description }));
  }
  if (what === "task") {
    const tasks = await supervisor.call("list_tasks", {}, { signal });
    return tasks.map((one) => ({ value: one.task_id, about: one.task_description }));
  }
  const query = what === "agent" ? { all: true, limit: ENDED } : {};
  const agents = await supervisor.call("list_agents", { query }, { signal });
  return agents.map(({ id, status, prompt, command }) => ({
    value: id,
    about: `${status}: ${prompt || command.join(" ")}`,
  }));
}

/** One line of an answer to a shell's script: the value, and what it is. */
export const line_of = ({ value, about }: Candidate): string => `${value}\t${one_line(about).slice(0, 80)}`;
