import { collect_garbage } from "../../gc.ts";
import type { Handler } from "../handler.ts";

export const gc: Handler<"gc"> = async (services, { body }) => collect_garbage(services, body.dry_run);
