/** The programs, and the package, that no daemon can do without: a start without them fails, and says what to install. */
import { SupervisorError } from "../contract/errors.ts";
import { lsof_version } from "../drivers/lsof.ts";
import { tmux_version } from "../drivers/tmux/server.ts";

/** Rejects when tmux or lsof is missing or does not answer, or tmux is too old; with ERR_MODULE_NOT_FOUND when the hosts would find no node-pty. */
export async function require_programs(): Promise<void> {
  // Beside dist/, from where hosts are started as well. What the daemon itself needs is in its bundle.
  import.meta.resolve("node-pty");
  const version = await tmux_version();
  if (!version)
    throw new SupervisorError(
      "tmux_missing",
      "tmux is not installed; install it (for example: apt-get install tmux) and start again",
    );
  const [major, minor] = (/(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  if (major !== undefined && minor !== undefined && major * 100 + minor < 302)
    throw new SupervisorError("tmux_missing", `${version} is too old; 3.2 or later is needed`);
  if (!(await lsof_version()))
    throw new SupervisorError(
      "lsof_missing",
      "lsof is not installed, so no end could be proven; install it (for example: apt-get install lsof) and start again",
    );
}
