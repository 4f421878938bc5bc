import { expect, test } from "vitest";
import { verify_files } from "../../../src/daemon/ending/verify.ts";
import type { FileVerdict } from "../../../src/daemon/verdict.ts";
import { process_ref_of } from "../../../src/drivers/procfs.ts";

const me = process_ref_of(process.pid) ?? { pid: 0, start_time: 0 };
const FREE: FileVerdict = {
  path: "/trash/log",
  verdict: "clear",
  holders: [],
  reason: null,
  id: { device: 1n, inode: 2n },
};
const HELD: FileVerdict = {
  ...FREE,
  verdict: "held",
  holders: [{ pid: me.pid, command: "x", user: "u", fd: "3", access: "read", path: "/trash/log", whose: "other" }],
};

/** The verdicts of an end of which `survivor` was left. */
async function verdict_of(found: FileVerdict, survivor: { pid: number; start_time: number }, may_look = true) {
  const asked: number[][] = [];
  const verifier = {
    verify: async (_paths: readonly string[], family: readonly number[] = []) => {
      asked.push([...family]);
      return [found];
    },
  };
  const closed = { survivors: [{ ...survivor, command: "x" }] } as never;
  const [verdict] = await verify_files(
    verifier,
    { process: null, host: null },
    { closed, set_aside: [{ trash_path: "/trash/log" }] as never },
    () => may_look,
  );
  return { verdict, asked: asked[0] };
}

test("files of an agent whose process lives on and may not be looked at are not free: nobody can tell", async () => {
  expect(await verdict_of(FREE, me, false)).toMatchObject({
    verdict: { verdict: "unknown", reason: expect.stringContaining(`process ${me.pid} of the agent lives on`) },
    asked: [me.pid],
  });
  // What is not there is left as it is; who may be looked at has been.
  expect(await verdict_of({ ...FREE, id: null }, me, false)).toMatchObject({ verdict: { verdict: "clear" } });
  expect(await verdict_of(FREE, me)).toMatchObject({ verdict: { verdict: "clear" } });
});

test("a holder is the agent's if it is that very process, and a stranger if it has its pid by now", async () => {
  expect(await verdict_of(HELD, me)).toMatchObject({ verdict: { holders: [{ whose: "agent" }] } });
  const before = { ...me, start_time: me.start_time - 1 };
  expect(await verdict_of(HELD, before)).toMatchObject({ verdict: { holders: [{ whose: "other" }] }, asked: [] });
  expect(await verdict_of(FREE, before, false)).toMatchObject({ verdict: { verdict: "clear" } });
});
