import type { FileHandle } from 'node:fs/promises';
import type { StoragePath, StorageWriter } from '../driver.ts';
import { guard } from './errors.ts';

/** Appends to a file that is open. */
export class FilesystemWriter implements StorageWriter {
  readonly #path: StoragePath;
  readonly #handle: FileHandle;
  #size: number;
  #closed = false;

  constructor(path: StoragePath, handle: FileHandle, size: number) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await guard(this.#path, async () => {
      let offset = 0;
      while (offset < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, offset, bytes.length - offset);
        offset += bytesWritten;
        // Counted as it lands: after a full disk the size is still what the file holds.
        this.#size += bytesWritten;
      }
    });
  }

  async sync(): Promise<void> {
    await guard(this.#path, () => this.#handle.datasync());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await guard(this.#path, () => this.#handle.close());
  }
}
