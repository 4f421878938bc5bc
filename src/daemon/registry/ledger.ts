/**
 * `totals.json` of the workspace: what counts on although its records are gone, i.e. the receipts of tasks that expired, and what the sweeper removed.
 * Written when a task expires and after a sweep that removed something; by the registry alone. A file that cannot be read is kept as
 * `totals.json.broken`, with a warning, and counting begins anew: these are figures, and nothing is decided by them.
 */
import { z } from "zod";
import { is_errno, message_of } from "../../contract/errors.ts";
import { type ReceiptSums, receipt_sums, type SweptSums, swept_sums } from "../../contract/metrics.ts";
import { ledger_path } from "../../contract/paths.ts";
import { read_in_place, replace_in_place } from "../../drivers/in-place.ts";
import { Lane } from "../patience.ts";
import { add_receipts, no_receipts } from "./sums.ts";

const ledger_file = z.object({
  expired_tasks: receipt_sums.default(no_receipts),
  /** The task that expired last. Written before it goes; as long as it is there it counts by itself. */
  last_task: z.object({ task_id: z.string(), receipts: receipt_sums }).nullable().default(null),
  swept: swept_sums.default(() => ({ files: 0, bytes: 0 })),
});
type LedgerFile = z.infer<typeof ledger_file>;

const BROKEN = "totals.json.broken";

export class Ledger {
  private data: LedgerFile = ledger_file.parse({});
  private broken = false;
  private readonly lane = new Lane(1);

  /** `is_there` tells of a task whether it is still in the registry. */
  constructor(
    private readonly workspace: string,
    private readonly is_there: (task_id: string) => boolean,
  ) {}

  async load(warn: (text: string) => void): Promise<void> {
    const path = ledger_path(this.workspace);
    try {
      this.data = ledger_file.parse(JSON.parse(await read_in_place(path)));
    } catch (error) {
      if (is_errno(error, "ENOENT")) return;
      this.broken = true;
      const why = error instanceof z.ZodError ? "it is not what the supervisor writes" : message_of(error);
      warn(
        `${path} cannot be used (${why}); what expired tasks counted is counted anew, and the file is kept as ${BROKEN}`,
      );
    }
  }

  get swept(): Readonly<SweptSums> {
    return this.data.swept;
  }

  /** What the receipts of the tasks add up to that are gone. */
  expired(): ReceiptSums {
    const sum = no_receipts();
    add_receipts(sum, this.data.expired_tasks);
    const { last_task } = this.data;
    if (last_task && !this.is_there(last_task.task_id)) add_receipts(sum, last_task.receipts);
    return sum;
  }

  /** A task is about to go. On the disk when it resolves; a task that stays after all counts by itself. */
  retire(task_id: string, receipts: ReceiptSums): Promise<void> {
    return this.lane.in_turn(async () => {
      await this.write({ ...this.data, expired_tasks: this.expired(), last_task: { task_id, receipts } });
    });
  }

  /** The sweeper removed something. Counted at once; rejects when it could not be written, and is then written with what comes next. */
  add_swept({ files, bytes }: SweptSums): Promise<void> {
    const { swept } = this.data;
    this.data = { ...this.data, swept: { files: swept.files + files, bytes: swept.bytes + bytes } };
    return this.lane.in_turn(() => this.write(this.data));
  }

  private async write(data: LedgerFile): Promise<void> {
    const text = `${JSON.stringify(data, null, 2)}\n`;
    await replace_in_place(ledger_path(this.workspace), text, this.broken ? BROKEN : undefined);
    this.broken = false;
    // What was swept while it was written stays.
    this.data = { ...data, swept: this.data.swept };
  }
}
