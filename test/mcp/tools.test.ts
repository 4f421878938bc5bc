import { describe, expect, test } from "vitest";
import { z } from "zod";
import { SupervisorError } from "../../src/contract/errors.ts";
import { check_arguments, find_tool } from "../../src/mcp/arguments.ts";
import { make_tools, tool_listing } from "../../src/mcp/tools.ts";

const tools = make_tools(undefined);
const check = (name: string, given: Record<string, unknown>) => check_arguments(find_tool(tools, name), given);

describe("the tools", () => {
  test("are those of the seed, and ours", () => {
    expect([...tools.keys()]).toEqual(
      expect.arrayContaining([
        "create_real_task",
        "deploy_headless_agent",
        "spawn_child_agent",
        "get_real_task_status",
        "list_tasks",
        "get_agent_output",
        "kill_real_agent",
        "update_agent_progress",
        "report_agent_finding",
        "get_task_findings",
        "verify_handles",
        "collect_garbage",
        "get_metrics",
        "wait_for_agent",
        "send_input",
      ]),
    );
  });

  test("have a JSON schema in which every argument has a type, and refuse others", () => {
    for (const tool of tools.values()) {
      const { inputSchema } = tool_listing(tool) as unknown as {
        inputSchema: { type: string; additionalProperties: boolean; properties: Record<string, { type?: string }> };
      };
      expect(inputSchema).toMatchObject({ type: "object", additionalProperties: false });
      for (const [name, property] of Object.entries(inputSchema.properties))
        expect(property.type, `${tool.name} ${name}`).toBeTypeOf("string");
    }
  });

  test("take the seed's own arguments", () => {
    const task_id = "TASK-20251029-225319-45548b6a";
    const agent_id = "builder-232257-348f75";
    check("create_real_task", { description: "x", priority: "P2", client_cwd: "/x", conversation_history: [] });
    check("deploy_headless_agent", { task_id, agent_type: "builder", prompt: "x", parent: "orchestrator" });
    check("spawn_child_agent", { task_id, parent_agent_id: agent_id, child_agent_type: "x", child_prompt: "x" });
    check("get_agent_output", { task_id, agent_id, tail: 10, filter: "x", format: "text", include_metadata: true });
    check("kill_real_agent", { task_id, agent_id, reason: "test cleanup" });
    check("update_agent_progress", { task_id, agent_id, status: "working", message: "x", progress: 5 });
    check("report_agent_finding", { task_id, agent_id, finding_type: "x", severity: "low", message: "x", data: {} });
  });

  test("name every mistake at once", () => {
    expect(() => check("kill_real_agent", { agent: 1, resaon: "x" })).toThrow(
      "unknown argument 'agent'; unknown argument 'resaon' (did you mean 'reason'?); kill_real_agent takes task_id, agent_id, reason, grace_ms, cleanup",
    );
    expect(() => check("update_agent_progress", { agent_id: 7, status: "" })).toThrow(SupervisorError);
  });

  test("of an agent's own server need not be told who it is", () => {
    const own = make_tools("me-000000-000000");
    const given = { status: "working", message: "x" };
    expect(check_arguments(find_tool(own, "update_agent_progress"), given)).toMatchObject({
      agent_id: "me-000000-000000",
    });
    const { required } = z.toJSONSchema(find_tool(own, "spawn_child_agent").input, { io: "input" });
    expect(required).toEqual(["child_prompt"]);
  });
});
