/** A size in the config file: bytes, or text such as `512M`. Over the wire sizes are bytes alone. */
import { z } from "zod";
import { NO_SIZE, parse_size } from "./size.ts";

/** `bytes`: what the size must fit once it is a number. */
export const config_size = <Bytes extends z.ZodType>(bytes: Bytes) =>
  z.preprocess((given, context) => {
    if (typeof given !== "string") return given;
    const size = parse_size(given);
    if (size !== null) return size;
    context.addIssue({ code: "custom", message: NO_SIZE, input: given });
    return z.NEVER;
  }, bytes);
