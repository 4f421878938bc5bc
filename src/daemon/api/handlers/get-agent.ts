import type { Handler } from "../handler.ts";

export const get_agent: Handler<"get_agent"> = async ({ registry }, { params }) => registry.find(params.agent);
