/** Operations on profiles. */
import { z } from "zod";
import { profile_view } from "../profile.ts";
import { define, none } from "./define.ts";

export const profiles_operations = {
  list_profiles: define({
    method: "GET",
    path: "/v1/profiles",
    description: "All profiles: the shipped ones, and those of the config files.",
    params: none,
    query: none,
    body: z.unknown(),
    response: z.array(profile_view),
  }),
  get_profile: define({
    method: "GET",
    path: "/v1/profiles/:profile",
    description: "One profile. Of its variables only the names are shown.",
    params: z.strictObject({ profile: z.string().min(1).max(100) }),
    query: none,
    body: z.unknown(),
    response: profile_view,
  }),
} as const;
