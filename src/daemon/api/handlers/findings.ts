import { find_findings } from "../../find-findings.ts";
import type { Handler } from "../handler.ts";

export const findings: Handler<"findings"> = async (services, { params, query }) =>
  find_findings(services, services.registry.task(params.task), query);
