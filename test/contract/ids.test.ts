import { expect, test } from "vitest";
import {
  AGENT_ID_PATTERN,
  new_agent_id,
  new_task_id,
  session_name,
  short_agent_id,
  TASK_ID_PATTERN,
} from "../../src/contract/ids.ts";

test("ids look as the first generation of registries wrote them", () => {
  const now = new Date(2025, 9, 29, 22, 53, 19);
  const id = new_agent_id("file_handle_tracker_builder", now);
  expect(id).toMatch(/^file_handle_tracker_builder-225319-[0-9a-f]{6}$/);
  expect(id).toMatch(AGENT_ID_PATTERN);
  expect(new_task_id(now)).toMatch(/^TASK-20251029-225319-[0-9a-f]{8}$/);
  expect(new_task_id(now)).toMatch(TASK_ID_PATTERN);
  expect(session_name(id)).toBe(`agent_${id}`);
  expect(short_agent_id(id)).toMatch(/^225319-[0-9a-f]{6}$/);
});
