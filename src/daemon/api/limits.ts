/** What a client may ask of the socket. Whoever can connect is the owner's; the limits are for programs that run wild, not for enemies. */
export const LIMITS = {
  /** A prompt may have 8 MB; in JSON it may be longer. */
  body_bytes: 32 * 1024 * 1024,
  /** The longest path is an operation's with an agent's id; Node's own default is this. */
  header_bytes: 16 * 1024,
  headers: 100,
  /** A client that sends its headers slower than this is not one of ours. In ms. */
  headers_ms: 10_000,
  /** Nor its body: 32 MB over a unix socket take a fraction of a second. Counts until the request is whole, not until it is answered. In ms. */
  request_ms: 30_000,
  /** How often slow connections are looked for, in ms: the two deadlines above are kept to within this. */
  check_ms: 1_000,
  /** Each follower of a log and each `wait` holds one, so that a hundred agents may well need some hundred. */
  connections: 1_000,
  /** The longest id has 78 characters. */
  param_length: 200,
  /** Of one operation on one agent. An agent that reports each line of its work stays below; a loop that does nothing else does not. */
  requests_a_second: 3_000,
  /**
   * How many of these counts are kept, the latest ones: one that is near its limit comes up thousands of times in its second, and is never the oldest of so
   * many. Each is about 250 bytes, and would otherwise be kept for agents that ended long ago (5,000 of them by the library's default).
   */
  counts_kept: 500,
} as const;
