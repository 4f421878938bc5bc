/** How an agent's processes are kept together, what they may use, and what they use. */
import { z } from "zod";
import type { Kept } from "./kept.ts";

/**
 * `cgroup`: the kernel keeps every descendant in the agent's control group, whatever it does to its session, parents and environment.
 * `cookie`: descendants are found by environment cookie, session, process group and process tree.
 */
export const containment_mode = z.enum(["cgroup", "cookie"]);

export const controller = z.enum(["memory", "pids", "cpu"]);
export type Controller = z.infer<typeof controller>;

/** What all processes of an agent together may use; null = no limit. */
export const limits = z.object({
  /** Bytes of memory, page cache of the agent's own files included. Over it the kernel kills a process of this agent. */
  memory_max: z.int().min(1).nullable(),
  /** Processes and threads at one time. Over it fork(2) fails with EAGAIN. */
  pids_max: z.int().min(1).nullable(),
  /** Cores' worth of CPU time: 0.5 is half of one core. Over it the agent is made to wait. */
  cpu_max: z.number().min(0.01).nullable(),
});
export type Limits = z.infer<typeof limits>;
export const NO_LIMITS: Limits = { memory_max: null, pids_max: null, cpu_max: null };

/** One control group of an agent. It has one in the hierarchy of version 2, and one in each of version 1 that sets a limit. */
export const cgroup_ref = z.object({
  /** Absolute path of its directory. */
  path: z.string(),
  version: z.union([z.literal(1), z.literal(2)]),
  /** The controllers by which a limit is set here. */
  controllers: z.array(controller),
});
export type CgroupRef = Kept<z.infer<typeof cgroup_ref>>;

/** What an agent uses now. Null where this machine cannot say. */
export const usage = z.object({
  /** CPU time in microseconds: of the control group since its beginning, else of the processes that live now. */
  cpu_usec: z.int().nonnegative(),
  /** Bytes: of the control group, else the sum of the living processes' resident sets (shared pages are counted for each). */
  memory_bytes: z.int().nonnegative(),
  memory_peak_bytes: z.int().nonnegative().nullable(),
  /** Living processes. */
  processes: z.int().nonnegative(),
  /** Processes that the kernel killed because the agent was out of memory. */
  oom_kills: z.int().nonnegative(),
  memory_source: z.enum(["cgroup", "processes"]),
  cpu_source: z.enum(["cgroup", "processes"]),
});
export type Usage = z.infer<typeof usage>;

/** Which containment is in force, and what it can and cannot promise. */
export const containment_report = z.object({
  mode: containment_mode,
  /** The directory below which agents' groups are made, or null. */
  place: z.string().nullable(),
  /** How a limit of each kind would be set: by a hierarchy of version 2, of 1, or not at all. */
  limits: z.record(controller, z.union([z.literal(1), z.literal(2)]).nullable()),
  /** For a person, in one line. */
  detail: z.string(),
});
export type ContainmentReport = z.infer<typeof containment_report>;
