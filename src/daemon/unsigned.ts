/**
 * What a look through /proc shows of a file, and lsof does not name. Numbers are compared loosely by the look, so that most of it is other files;
 * the rest is either somebody who has let go meanwhile, or what nobody can tell.
 */
import { stat } from "node:fs/promises";
import { is_errno } from "../contract/errors.ts";
import type { Looker } from "../drivers/look-thread.ts";
import { type FileId, holds, type RawHolder } from "../drivers/lsof.ts";
import { list_mounts, mount_of } from "../drivers/mounts.ts";
import { has_name_of, low_half, type Match } from "../drivers/proc-holders.ts";

/** A file that is there. A look through /proc is for regular files: others may be held as a directory that somebody is in. */
export interface Found {
  id: FileId;
  regular: boolean;
  /** How many names it has. */
  links: bigint;
}

/** Null for what is not there. */
export async function find(path: string): Promise<Found | null> {
  try {
    const facts = await stat(path, { bigint: true });
    return { id: { device: facts.dev, inode: facts.ino }, regular: facts.isFile(), links: facts.nlink };
  } catch (error) {
    if (is_errno(error, "ENOENT")) return null;
    throw error;
  }
}

export interface UnsignedFiles {
  /** Who goes on having it by /proc, and is no holder by lsof: a reason by path. */
  doubts: Map<string, string>;
  /** Files that somebody had who is gone, or has let go. */
  restless: Set<string>;
}

interface Unsigned {
  path: string;
  match: Match;
  kinship: "same" | "perhaps";
}

export async function unsigned_of(
  files: ReadonlyMap<string, Found>,
  matches: readonly Match[],
  holders: readonly RawHolder[],
  again: Looker["again"],
): Promise<UnsignedFiles> {
  const all = [...files].flatMap(([path, file]) => unsigned_matches(path, file, matches, holders));
  // Where nobody can tell, none is still to be seen: it is begun anew.
  const still = new Set(all.length > 0 ? await again(all.map((one) => one.match)) : []);
  const stays = all.filter((one) => still.has(one.match) && one.kinship === "same");
  return {
    doubts: new Map(
      stays.map(({ path, match }) => [
        path,
        `/proc shows it open or mapped in process ${match.pid}, which lsof does not name`,
      ]),
    ),
    restless: new Set(all.filter((one) => !still.has(one.match)).map((one) => one.path)),
  };
}

function unsigned_matches(
  path: string,
  { id, links }: Found,
  matches: readonly Match[],
  holders: readonly RawHolder[],
): Unsigned[] {
  const own = matches.filter((match) => low_half(match.inode) === low_half(id.inode));
  const unnamed = own.filter((match) => !holders.some((one) => one.pid === match.pid && holds(one, id)));
  if (unnamed.length === 0) return [];
  const place = { path, id, links, mount: mount_of(list_mounts(), path)?.device ?? null };
  return unnamed.flatMap((match) => {
    const kinship = kinship_of(match, place);
    return kinship === null ? [] : [{ path, match, kinship }];
  });
}

/**
 * Is what the match shows the file? By the file's own name it is. By another (a second link of it, a mount of it alone) it is if both numbers are
 * the file's, where its file system has one device number; where stat(2) shows another than the kernel's tables (btrfs, some overlays), files of
 * several volumes may share both, and lsof, who asks for each descriptor by stat, tells descriptors apart and not mappings. Pure.
 */
export function kinship_of(
  match: Match,
  { path, id, links, mount }: { path: string; id: FileId; links: bigint; mount: string | null },
): "same" | "perhaps" | null {
  if (has_name_of(match, path)) return "same";
  if (match.inode !== id.inode) return null;
  if (match.device === device_name(id.device)) return "same";
  if (match.device !== null && match.device !== mount) return null;
  return match.mapped && links > 1n ? "same" : "perhaps";
}

/** st_dev as `major:minor` (makedev(3)). */
export function device_name(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}
