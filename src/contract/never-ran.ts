/** The note in the receipt of an agent that was cancelled in the queue. Alone in its file: the command reads it, and must not load zod for it. */
export const NEVER_RAN = "it waited in the queue; nothing of it ever ran";
