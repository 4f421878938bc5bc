import { monitorEventLoopDelay } from "node:perf_hooks";
import { Registry } from "prom-client";
import { afterEach, expect, test, vi } from "vitest";
import { sample_lag_while_read } from "../../../src/daemon/metrics/event-loop-lag.ts";

vi.mock("node:perf_hooks", async (load) => {
  const real = await load<typeof import("node:perf_hooks")>();
  return { ...real, monitorEventLoopDelay: vi.fn(real.monitorEventLoopDelay) };
});
afterEach(() => {
  vi.useRealTimers();
  vi.clearAllMocks();
});

test("the event loop's delay is sampled only while somebody reads it, and the figures are since the look before", async () => {
  const register = new Registry();
  // How long nobody has looked is the test's to say; the delays are the machine's.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  sample_lag_while_read(register, 150);
  const histogram = vi.mocked(monitorEventLoopDelay).mock.results[0]?.value;
  const [enable, disable] = [vi.spyOn(histogram, "enable"), vi.spyOn(histogram, "disable")];
  const value_of = async (name: string) => {
    const text = await register.metrics();
    return new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1];
  };
  expect(enable).not.toHaveBeenCalled();

  expect(await value_of("nodejs_eventloop_lag_max_seconds")).toBeUndefined();
  expect(enable).toHaveBeenCalledTimes(1);
  await expect.poll(() => histogram.count).toBeGreaterThan(0);
  expect(Number(await value_of("nodejs_eventloop_lag_max_seconds"))).toBeGreaterThan(0);

  expect(disable).not.toHaveBeenCalled();
  vi.advanceTimersByTime(150);
  expect(disable).toHaveBeenCalledTimes(1);
  await value_of("nodejs_eventloop_lag_max_seconds");
  expect(enable).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(150);
  expect(disable).toHaveBeenCalledTimes(2);
});
