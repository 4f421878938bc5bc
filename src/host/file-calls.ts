/**
 * What a host takes of node:fs/promises. The build puts this in the place of that one (scripts/build.mjs), which costs each host 0.25 MB, nearly all of it for
 * lines, watches and directories that a host never reads. The same calls, made of node:fs; the types say which. As there, a handle is closed when nothing that was asked of it
 * is under way any more: what still waits for the thread pool would else go to whatever file has its number by then. A closed one has no number.
 */
import {
  type BigIntOptions,
  type BigIntStats,
  close,
  fdatasync,
  link as fs_link,
  lstat as fs_lstat,
  open as fs_open,
  read as fs_read,
  readFile as fs_read_file,
  rename as fs_rename,
  rm as fs_rm,
  unlink as fs_unlink,
  writeFile as fs_write_file,
  writev as fs_writev,
  fstat,
  fsync,
  type PathLike,
  type RmOptions,
  type Stats,
} from "node:fs";

type Done<T> = (error: NodeJS.ErrnoException | null, value?: T) => void;

/** Not `promisify` of node:util, which copies the properties of each function: 3 KB a call. */
function promised<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}

class Handle {
  private under_way = 0;
  private on_idle: (() => void) | null = null;
  private closing: Promise<void> | null = null;

  constructor(public fd: number) {}

  close(): Promise<void> {
    this.closing ??= this.close_when_idle();
    return this.closing;
  }

  appendFile(data: string): Promise<void> {
    return this.writeFile(data);
  }

  datasync(): Promise<void> {
    return this.ask((done) => fdatasync(this.fd, done));
  }

  read(buffer: Buffer, offset: number, length: number, position: number) {
    return this.ask<{ bytesRead: number; buffer: Buffer }>((done) =>
      fs_read(this.fd, buffer, offset, length, position, (error, bytesRead) => done(error, { bytesRead, buffer })),
    );
  }

  readFile(encoding: BufferEncoding): Promise<string> {
    return this.ask((done) => fs_read_file(this.fd, encoding, done));
  }

  stat(options?: BigIntOptions): Promise<Stats | BigIntStats> {
    return this.ask((done) => (options ? fstat(this.fd, options, done) : fstat(this.fd, done)));
  }

  sync(): Promise<void> {
    return this.ask((done) => fsync(this.fd, done));
  }

  writeFile(data: string | Buffer): Promise<void> {
    return this.ask((done) => fs_write_file(this.fd, data, done));
  }

  writev(buffers: Buffer[]): Promise<{ bytesWritten: number }> {
    return this.ask((done) => fs_writev(this.fd, buffers, (error, bytesWritten) => done(error, { bytesWritten })));
  }

  private ask<T>(call: (done: Done<T>) => void): Promise<T> {
    this.under_way++;
    return promised(call).finally(() => {
      this.under_way--;
      if (this.under_way === 0) this.on_idle?.();
    });
  }

  private async close_when_idle(): Promise<void> {
    const { fd } = this;
    this.fd = -1;
    if (this.under_way > 0)
      await new Promise<void>((resolve) => {
        this.on_idle = resolve;
      });
    await promised<void>((done) => close(fd, done));
  }
}

export async function open(path: PathLike, flags: string | number, mode?: number): Promise<Handle> {
  return new Handle(await promised<number>((done) => fs_open(path, flags, mode, done)));
}

export const link = (from: PathLike, to: PathLike) => promised<void>((done) => fs_link(from, to, done));
export const lstat = (path: PathLike) => promised<Stats>((done) => fs_lstat(path, done));
export const rename = (from: PathLike, to: PathLike) => promised<void>((done) => fs_rename(from, to, done));
export const rm = (path: PathLike, options: RmOptions) => promised<void>((done) => fs_rm(path, options, done));
export const unlink = (path: PathLike) => promised<void>((done) => fs_unlink(path, done));
export const writeFile = (path: PathLike, data: string, options: { flag: string }) =>
  promised<void>((done) => fs_write_file(path, data, options, done));
