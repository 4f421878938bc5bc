/** Events of nobody's in particular that are plain enough to read: a result, an error. Others stay as they are. */
import { type Family, text_of } from "./entry.ts";

export const generic: Family = {
  name: "generic",
  read(event) {
    if (event.type === "result") return [{ kind: "result", text: text_of(event.result ?? event) }];
    if (event.type === "error" || event.error)
      return [{ kind: "error", text: text_of(event.error ?? event.message ?? event) }];
    return null;
  },
  session: () => null,
};
