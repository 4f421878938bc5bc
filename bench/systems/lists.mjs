// Who is measured beside the supervisor: all that manage agents, and all that log their output.
import { start_pm2 } from "./pm2.mjs";
import { start_bare_reader, start_script } from "./readers.mjs";
import { start_supervisord } from "./supervisord.mjs";
import { start_pipe_pane, start_seed } from "./tmux.mjs";

/** The seed first: some goals are ratios to it. */
export const MANAGERS = [start_seed, start_pm2, start_supervisord];
export const LOGGERS = [start_seed, start_pipe_pane, start_script, start_pm2, start_supervisord];
/** With what is no system but the limit of what one can do. */
export const LOGGERS_AND_LIMIT = [...LOGGERS, start_bare_reader];
