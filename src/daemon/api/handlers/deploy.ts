import { SupervisorError } from "../../../contract/errors.ts";
import { deploy as deploy_agent } from "../../deploy/deploy.ts";
import type { Handler } from "../handler.ts";
import { view } from "../view.ts";

export const deploy: Handler<"deploy"> = async (services, { body }) => {
  if (services.stopping)
    throw new SupervisorError("daemon_stopping", "the supervisor is stopping; start it again to deploy");
  return view(services, await deploy_agent(services, body));
};
