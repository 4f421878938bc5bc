import { view_of } from "../../profiles/profiles.ts";
import type { Handler } from "../handler.ts";

export const list_profiles: Handler<"list_profiles"> = async ({ profiles }) => [...profiles.values()].map(view_of);
