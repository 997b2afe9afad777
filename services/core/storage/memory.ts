import { Readable } from 'node:stream';
import {
  type ReadRange,
  type StorageDriver,
  StorageError,
  type StorageInfo,
  type StoragePath,
  type StorageWriter,
  type VisibleStep,
} from './driver.ts';

interface MemoryFile {
  bytes: Buffer;
  modified: Date;
}

/** Distribution's `inmemory` driver: everything is lost with the process. */
export function createMemoryDriver(): StorageDriver {
  const files = new Map<string, MemoryFile>();

  const find = (path: string): MemoryFile => {
    const file = files.get(path);
    if (file === undefined) throw new StorageError('not-found', path);
    return file;
  };
  const below = (path: string) => [...files.keys()].filter((name) => name.startsWith(`${path}/`));

  return {
    name: 'inmemory',

    async stat(path: StoragePath): Promise<StorageInfo> {
      if (files.has(path) || below(path).length === 0) {
        const { bytes, modified } = find(path);
        return { kind: 'file', size: bytes.length, modified };
      }
      return { kind: 'directory', size: 0, modified: new Date(0) };
    },

    async read(path: StoragePath, range?: ReadRange): Promise<Readable> {
      const { bytes } = find(path);
      const part = range === undefined ? bytes : bytes.subarray(range.start, range.end + 1);
      return Readable.from(part.length === 0 ? [] : [part]);
    },

    async put(path: StoragePath, bytes: Uint8Array, step?: VisibleStep): Promise<void> {
      await step?.confirm?.();
      files.set(path, { bytes: Buffer.from(bytes), modified: new Date() });
    },

    async openWriter(path: StoragePath, how = 'create'): Promise<StorageWriter> {
      if (how === 'append') return memoryWriter(find(path));
      if (files.has(path)) throw new StorageError('exists', path);
      const file = { bytes: Buffer.alloc(0), modified: new Date() };
      files.set(path, file);
      return memoryWriter(file);
    },

    async list(path: StoragePath, { after = '', limit = Infinity } = {}): Promise<string[]> {
      const names = new Set(
        below(path).map((name) => name.slice(path.length + 1).split('/', 1)[0] ?? ''),
      );
      const later = [...names].filter((name) => name > after).sort();
      return later.length > limit ? later.slice(0, limit) : later;
    },

    async move(from: StoragePath, to: StoragePath, { replace = true } = {}): Promise<void> {
      const file = find(from);
      if (!replace && files.has(to)) throw new StorageError('exists', to);
      files.set(to, file);
      files.delete(from);
    },

    async rename(from: StoragePath, to: StoragePath): Promise<void> {
      files.set(to, find(from));
      files.delete(from);
    },

    async remove(path: StoragePath, step?: VisibleStep): Promise<void> {
      await step?.confirm?.();
      for (const name of [path, ...below(path)]) files.delete(name);
    },

    async touch(path: StoragePath): Promise<void> {
      find(path).modified = new Date();
    },

    async close(): Promise<void> {},
  };
}

function memoryWriter(file: MemoryFile): StorageWriter {
  return {
    get size() {
      return file.bytes.length;
    },
    async write(bytes) {
      file.bytes = Buffer.concat([file.bytes, bytes]);
      file.modified = new Date();
    },
    async sync() {},
    async close() {},
  };
}
