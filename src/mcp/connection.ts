/**
 * The way to the daemon. Each call looks where it is now, so that a daemon that was restarted is found again; one that is not there is
 * started, unless this server may not. A call is made again when it never reached a daemon, or when the daemon died over it and doing it twice is as
 * doing it once.
 */
import type { Client } from "../client/client.ts";
import { SupervisorError } from "../contract/errors.ts";

export interface ConnectionOptions {
  /** Finds the daemon, or rejects with `no_daemon`. */
  find: () => Promise<Client>;
  /** Starts one and resolves when it serves; null when this server may not. */
  start: (() => Promise<void>) | null;
}

export class Connection {
  private starting: Promise<void> | null = null;

  constructor(private readonly options: ConnectionOptions) {}

  /** Does the work with a client of the daemon, starting one if there is none. `repeatable`: the work may be done twice. */
  async use<T>(work: (client: Client) => Promise<T>, repeatable = false): Promise<T> {
    try {
      return await this.use_running(work);
    } catch (error) {
      const { start } = this.options;
      const code = error instanceof SupervisorError ? error.code : null;
      if (!start || !(code === "no_daemon" || (code === "daemon_gone" && repeatable))) throw error;
      this.starting ??= start().finally(() => {
        this.starting = null;
      });
      await this.starting;
      return this.use_running(work);
    }
  }

  /** The same, but rejects with `no_daemon` instead of starting one. */
  async use_running<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return work(await this.options.find());
  }
}
