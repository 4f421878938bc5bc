/**
 * The thread of the daemon that looks at processes and asks for leases, so that neither thousands of processes nor one that does not let itself be looked at keep the daemon
 * from anything else. Owned by the daemon: started with it, ended with it, started anew when it died; its program is `bin/look-thread`. It is asked one thing at a time.
 *
 * When it is slow: as long as it goes on from process to process it is waited for. When it stands still (a read of /proc may wait for memory or a dead disk, and cannot be
 * interrupted) the question is answered by "cannot tell", and so is everybody who comes before it moves again: one thread hangs at most. When it dies, its question is answered likewise.
 * An end of the daemon does not wait for one that stands still either: `close` gives up after as long, and an exit leaves past it. It is asked to end and never made to: an end
 * from outside, or Node's own exit, in the middle of native code (koffi, as it is loaded or called) aborts the whole process, because nothing can be thrown there any more.
 */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { message_of } from "../contract/errors.ts";
import { leave_past_threads } from "./leave.ts";
import type { Look, Match, Sought } from "./proc-holders.ts";

/** Beside the bundle. */
export const LOOK_PROGRAM = fileURLToPath(new URL("../look-thread.cjs", import.meta.url));

/** What the thread is told when it is made. */
export interface LookThreadData {
  /** `[0]`: how far it has come, in processes; `[1]`: the one whose turn it is; `[2]`: 1 once what it does is to be given up. */
  progress: SharedArrayBuffer;
  /** Why leases are not to be used, or null. */
  no_leases: string | null;
}
export type LookQuestion = { look: { sought: readonly Sought[]; trusted: readonly number[] } } | { again: Match[] };
export type LookReply = { look: Look } | { again: number[] } | { failed: string };
/** What it is told; `end` has no reply but its end. */
export type ToLookThread = LookQuestion | "end";
/** What it says; `ready` once, when all that it needs is loaded. */
export type FromLookThread = LookReply | "ready";

export type LookForHolders = (sought: readonly Sought[], trusted?: readonly number[]) => Promise<Look>;

/** One who looks. Neither rejects. */
export interface Looker {
  look: LookForHolders;
  /** Of these matches, those that are still to be seen; null when nobody can tell. */
  again(matches: readonly Match[]): Promise<Match[] | null>;
  close(): Promise<void>;
}

/** How long one process is waited for: a table of mappings of 60,000 takes 60 ms. Far below lsof's own deadline, which may be waited for after. In ms. */
const PATIENCE_MS = 3_000;
/** Its heap, in MB: a look at 10,000 processes fits in twice. Small, because V8 uses what it may. */
const HEAP = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };

interface Pending {
  question: LookQuestion;
  answer: (reply: LookReply) => void;
}

export class LookThread implements Looker {
  private worker: Worker | null = null;
  /** It runs; until then nothing is expected of it. */
  private online = false;
  /** It has loaded all that it needs. */
  private ready = false;
  private readonly progress = new SharedArrayBuffer(12);
  private readonly seen = new Int32Array(this.progress);
  private readonly waiting: Pending[] = [];
  /** What the thread works on. Kept while it hangs, so that nobody asks meanwhile. */
  private current: Pending | null = null;
  /** Why it cannot be asked: while it hangs, and after the end. */
  private hangs: string | null = null;

  constructor(private readonly options: { no_leases?: string | null; program?: string; patience_ms?: number } = {}) {}

  /** Starts the thread before it is needed. */
  warm(): void {
    this.worker ??= this.start();
  }

  async look(sought: readonly Sought[], trusted: readonly number[] = []): Promise<Look> {
    const reply = await this.ask({ look: { sought, trusted } });
    if ("look" in reply) return reply.look;
    return { ok: false, reason: "failed" in reply ? reply.failed : "the thread that looks answered something else" };
  }

  async again(matches: readonly Match[]): Promise<Match[] | null> {
    const reply = await this.ask({ again: [...matches] });
    return "again" in reply ? reply.again.flatMap((index) => matches[index] ?? []) : null;
  }

  /** Ends the thread. One that hangs, or stands still for as long from now on, is not waited for: it ends when it moves. */
  async close(): Promise<void> {
    const { worker, hangs } = this;
    this.worker = null;
    this.refuse("the supervisor is stopping");
    if (!worker) return;
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    Atomics.store(this.seen, 2, 1);
    worker.postMessage("end" satisfies ToLookThread);
    if (hangs !== null) return worker.unref();
    worker.ref();
    // What it does is given up at its next step, so that as long as one step may take is long enough.
    let timer: NodeJS.Timeout | undefined;
    const given_up = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.options.patience_ms ?? PATIENCE_MS);
    });
    await Promise.race([ended, given_up]).finally(() => clearTimeout(timer));
    worker.unref();
  }

  /** Answers everybody who waits, and whoever comes after. */
  private refuse(why: string): void {
    this.hangs = why;
    for (const pending of [...(this.current ? [this.current] : []), ...this.waiting.splice(0)])
      pending.answer({ failed: why });
  }

  private ask(question: LookQuestion): Promise<LookReply> {
    if (this.hangs !== null) return Promise.resolve({ failed: this.hangs });
    return new Promise((answer) => {
      this.waiting.push({ question, answer });
      this.next();
    });
  }

  private next(): void {
    if (this.current !== null) return;
    const one = this.waiting.shift();
    if (!one) return;
    this.current = one;
    this.warm();
    this.worker?.ref();
    this.worker?.postMessage(one.question satisfies ToLookThread);
    if (this.online) this.watch(one);
  }

  /** Gives up when it has come no further in all that time. */
  private watch(one: Pending, from = Atomics.load(this.seen, 0)): void {
    const timer = setTimeout(() => {
      const now = Atomics.load(this.seen, 0);
      if (now !== from) return this.watch(one, now);
      const pid = Atomics.load(this.seen, 1);
      this.refuse(`${pid === 0 ? "the file system" : `process ${pid}`} does not let itself be looked at`);
    }, this.options.patience_ms ?? PATIENCE_MS);
    const { answer } = one;
    one.answer = (reply) => {
      clearTimeout(timer);
      answer(reply);
    };
  }

  private start(): Worker {
    const data: LookThreadData = { progress: this.progress, no_leases: this.options.no_leases ?? null };
    // Nothing of the environment is for it.
    const worker = new Worker(this.options.program ?? LOOK_PROGRAM, {
      workerData: data,
      env: {},
      execArgv: [],
      resourceLimits: HEAP,
      name: "look",
    });
    worker.unref();
    this.online = false;
    this.ready = false;
    worker.once("online", () => {
      this.online = true;
      if (this.current) this.watch(this.current);
    });
    worker.on("message", (said: FromLookThread) => {
      if (said === "ready") this.ready = true;
      else this.replied(worker, said);
    });
    worker.on("error", (error) => this.ended(worker, message_of(error)));
    worker.on("exit", (code) => this.ended(worker, `exit ${code}`));
    // Node's own exit ends its threads and waits for them: one that waits in the kernel hears of no end, and one in native code aborts.
    worker.once(
      "exit",
      leave_past_threads(() => this.current !== null || !this.ready),
    );
    return worker;
  }

  private replied(worker: Worker, reply: LookReply): void {
    if (worker !== this.worker) return;
    worker.unref();
    const { current } = this;
    this.current = null;
    this.hangs = null;
    // Late: whoever asked has been answered.
    current?.answer(reply);
    this.next();
  }

  private ended(worker: Worker, why: string): void {
    // An error is followed by the exit.
    if (worker !== this.worker) return;
    const { current } = this;
    this.worker = null;
    this.current = null;
    this.hangs = null;
    current?.answer({ failed: `the thread that looks ended (${why})` });
    this.next();
  }
}
