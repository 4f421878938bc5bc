/** What every command has at hand. */
import type { Client } from "../client/client.ts";
import type { Environment } from "../config.ts";

export interface Context {
  env: Environment;
  cwd: string;
  /** The workspace of this call (`--workspace`, SUPERVISOR_WORKSPACE, or the default), absolute. */
  workspace(): string;
  /** What another command needs to be for the same workspace: ` --workspace DIR`, or nothing. */
  workspace_option(): string;
  /** A client of the workspace's daemon; rejects with `no_daemon`. */
  client(): Promise<Client>;
  /** True with --json: stdout then has exactly one JSON document. */
  json(): boolean;
  /** Ends the process with this code once everything is written. */
  exit_code(code: number): void;
}
