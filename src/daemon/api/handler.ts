/** What a handler is: one for each operation of the table, in a file of the operation's name. */
import type { Kept } from "../../contract/kept.ts";
import type { Answer, OperationName, ParsedRequest } from "../../contract/operations.ts";
import type { Services } from "../services.ts";

export type Stream = AsyncIterable<Buffer | string>;
type Result<N extends OperationName> = unknown extends Answer<N> ? Stream : Kept<Answer<N>>;
/** `signal` is aborted when the client hangs up; what was begun for it goes on unless the handler looks at it. */
export type Handler<N extends OperationName> = (
  services: Services,
  request: ParsedRequest<N>,
  signal: AbortSignal,
) => Promise<Result<N>>;
export type Handlers = { [N in OperationName]: Handler<N> };
