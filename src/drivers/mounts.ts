/** What is mounted where, from proc_pid_mountinfo(5). Reads only that file: nothing is asked of the mounts themselves, which may be dead. */
import { readFileSync } from "node:fs";

export interface Mount {
  /** As in proc_pid_fdinfo(5). */
  id: string;
  point: string;
  /** `major:minor`, equal for every mount of one file system. */
  device: string;
  type: string;
}

/** Kinds whose server is another machine or another process, so that a stat may wait for ever. */
const REMOTE =
  /^(nfs\d?|cifs|smb\d?|smbfs|ncpfs|9p|virtiofs|afs|ceph|coda|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|orangefs|davfs|fuse(blk|\..+)?)$/;

export function list_mounts(): Mount[] {
  return parse_mountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** Fields 1, 3, 5 and the first after the separator; space, tab, newline and backslash stand there as octal escapes. */
export function parse_mountinfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    if (separator < 0) continue;
    const point = (fields[4] as string).replace(/\\([0-7]{3})/g, (_all, octal) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    mounts.push({ id: fields[0] as string, point, device: fields[2] as string, type: fields[separator + 1] as string });
  }
  return mounts;
}

const below = (point: string, file: string) => point === "/" || file === point || file.startsWith(`${point}/`);

/** The mount that a file (an absolute, real path) is on. Of mounts on the same point the last one is on top. Pure. */
export function mount_of(mounts: readonly Mount[], file: string): Mount | null {
  return mounts
    .filter((one) => below(one.point, file))
    .reduce<Mount | null>((best, one) => (best && best.point.length > one.point.length ? best : one), null);
}

/**
 * Mount points that may be left alone when holders of `files` (absolute, real paths) are looked for: remote file systems that are not the one of
 * any of the files, by device, and under whose mount point none of them lies. A descriptor there can only be of another file. Pure.
 */
export function elsewhere(mounts: readonly Mount[], files: readonly string[]): string[] {
  const theirs = new Set(files.map((file) => mount_of(mounts, file)?.device));
  const points = mounts
    .filter((one) => REMOTE.test(one.type) && !theirs.has(one.device) && !files.some((file) => below(one.point, file)))
    .map((one) => one.point);
  return [...new Set(points)];
}
