/** Errors as the API answers them: a code of the catalogue and one line. No stack, and of system errors only the name: their text holds paths. */
import type { Socket } from "node:net";
import { is_disk_trouble, is_used_up, message_of, SupervisorError, trouble } from "../../contract/errors.ts";
import { one_line } from "../../contract/printable.ts";
import { LIMITS } from "./limits.ts";

/** Longer than any text of ours; an error may repeat what it was given. In characters. */
const MESSAGE_LIMIT = 1_000;

export function error_body({ message, code }: SupervisorError): { success: false; error: string; code: string } {
  // An error repeats what it was given, and curl shows it on a terminal as it is.
  const text = one_line(message);
  return { success: false, error: text.length > MESSAGE_LIMIT ? `${text.slice(0, MESSAGE_LIMIT)}…` : text, code };
}

export function to_supervisor_error(error: unknown): SupervisorError {
  if (error instanceof SupervisorError) return error;
  const { code, statusCode, validation } = error as {
    code?: string;
    statusCode?: number;
    validation?: { instancePath: string; message?: string }[];
  };
  if (validation) {
    const first = validation[0];
    return new SupervisorError(
      "invalid_request",
      `${first?.instancePath.slice(1).replaceAll("/", ".") || "the request"}: ${first?.message ?? "is not valid"}`,
    );
  }
  if (statusCode === 413)
    return new SupervisorError("request_too_large", `a request may have ${LIMITS.body_bytes} bytes`);
  if (statusCode && statusCode < 500) return new SupervisorError("invalid_request", message_of(error));
  if (is_disk_trouble(error)) {
    const { path } = error as { path?: string };
    return new SupervisorError(
      "registry_unwritable",
      `${path ? `${path}: ` : ""}${trouble(error)}; nothing was recorded: mend the workspace's disk and try again`,
    );
  }
  if (is_used_up(error))
    return new SupervisorError("out_of_resources", `${trouble(error)}; try again when there is more`);
  return new SupervisorError("internal", `a defect in the supervisor (${code ?? "no code"}); its log has the details`);
}

/** Answers what is not HTTP, or not in time, and hangs up. Node calls it before there is a request. */
export function answer_bad_http(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const known =
    BAD_HTTP[error.code ?? ""] ?? new SupervisorError("invalid_request", "this is not HTTP; see docs/api.md");
  const body = JSON.stringify(error_body(known));
  socket.end(
    `HTTP/1.1 ${known.http_status} -\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    // Whoever does not read the answer is not waited for.
    () => socket.destroy(),
  );
}

const BAD_HTTP: Record<string, SupervisorError | undefined> = {
  HPE_HEADER_OVERFLOW: new SupervisorError(
    "request_too_large",
    `the headers of a request may have ${LIMITS.header_bytes} bytes`,
  ),
  ERR_HTTP_REQUEST_TIMEOUT: new SupervisorError(
    "timeout",
    `a request must be whole within ${LIMITS.request_ms} ms, its headers within ${LIMITS.headers_ms} ms`,
  ),
};
