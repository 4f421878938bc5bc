/** Metrics of a real daemon: what Prometheus reads is held against the format's grammar, and the figures against what was done. */
import { request } from "node:http";
import { expect, test } from "vitest";
import { parse_prometheus } from "../support/prometheus.ts";
import { eventually, fixture, TestSupervisor } from "../support/supervisor.ts";

TestSupervisor.spare_hosts = "default";

/** GET over the unix socket. */
function get(socketPath: string, path: string): Promise<{ type: string | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("end", () => resolve({ type: response.headers["content-type"], text }));
    })
      .once("error", reject)
      .end();
  });
}

test("/metrics is what Prometheus reads, and counts what was done", async () => {
  const supervisor = await TestSupervisor.start();
  try {
    const before = await get(supervisor.socket, "/metrics");
    expect(before.type).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(parse_prometheus(before.text).value("supervisor_cleanup_success_ratio")).toBeUndefined();

    await supervisor.deploy({ command: [fixture("idles")] });
    const killed = await supervisor.deploy({ command: [fixture("idles")] });
    const exits = await supervisor.deploy({ command: ["sh", "-c", "echo 1234; exit 3"] });
    const receipt = await supervisor.client.call("wait", { params: { agent: exits.id } });
    await supervisor.client.call("kill", { params: { agent: killed.id } });

    // On a busy machine a host's memory may take longer to read than a round has.
    const found = await eventually("the running agent's host to be measured", async () => {
      const now = parse_prometheus((await get(supervisor.socket, "/metrics")).text);
      return now.value("supervisor_hosts", { state: "measured" }) === 1 ? now : null;
    });
    expect(found.value("supervisor_agents", { status: "running" })).toBe(1);
    expect(found.value("supervisor_agents", { status: "terminated" })).toBe(1);
    expect(found.value("supervisor_agents_begun_total")).toBe(3);
    expect(found.value("supervisor_agents_ended_total", { cause: "kill", status: "terminated" })).toBe(1);
    expect(found.value("supervisor_agents_ended_total", { cause: "exited", status: "failed" })).toBe(1);
    expect(found.value("supervisor_cleanups_total", { result: "clear" })).toBe(2);
    expect(found.value("supervisor_cleanup_success_ratio")).toBe(1);
    expect(found.value("supervisor_logged_bytes_total")).toBeGreaterThanOrEqual(receipt.cleanup.bytes_logged);
    expect(found.value("supervisor_cleanup_step_duration_seconds_count", { step: "verify" })).toBe(2);
    expect(found.value("supervisor_lsof_verdicts_total", { verdict: "clear" })).toBeGreaterThanOrEqual(6);
    expect(found.value("supervisor_registry_write_duration_seconds_count", { result: "written" })).toBeGreaterThan(5);
    expect(found.value("supervisor_hosts", { state: "measured" })).toBe(1);
    expect(found.value("supervisor_hosts_memory_bytes", { kind: "rss" })).toBeGreaterThan(1_000_000);
    expect(found.value("supervisor_disk_bytes", { kind: "free" })).toBeGreaterThan(0);
    expect(found.value("process_open_fds")).toBeGreaterThan(5);
    expect(found.value("nodejs_eventloop_lag_seconds")).toBeGreaterThanOrEqual(0);

    const answer = await supervisor.client.call("get_metrics");
    expect(answer.receipts).toMatchObject({ agents: 2, clear: 2, failed: 0 });
    expect(answer.metrics.every(({ name }) => name.startsWith("supervisor_"))).toBe(true);
    const table = await supervisor.cli(["metrics", "--process"]);
    expect(table).toMatchObject({ code: 0, stdout: expect.stringMatching(/cleanups_total +result=clear +2/) });
    expect(table.stdout).toContain("process_open_fds");
    expect(JSON.parse((await supervisor.cli(["metrics", "--json"])).stdout).receipts.agents).toBe(2);
    expect(parse_prometheus((await supervisor.cli(["metrics", "--prometheus"])).stdout).names).toEqual(found.names);
  } finally {
    await supervisor.dispose();
  }
});
