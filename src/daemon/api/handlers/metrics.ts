import type { Handler } from "../handler.ts";

export const metrics: Handler<"metrics"> = async (services) => {
  const text = await services.metrics.text();
  return (async function* () {
    yield text;
  })();
};
