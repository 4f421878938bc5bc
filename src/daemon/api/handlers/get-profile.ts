import { find_profile, view_of } from "../../profiles/profiles.ts";
import type { Handler } from "../handler.ts";

export const get_profile: Handler<"get_profile"> = async ({ profiles }, { params }) =>
  view_of(find_profile(profiles, params.profile));
