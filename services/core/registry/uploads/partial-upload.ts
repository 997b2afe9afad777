import { type Digest, type DigestAlgorithm, Digester } from '#libs/oci/digest.ts';
import type { StorageDriver, StoragePath, StorageWriter } from '../../storage/driver.ts';

/** Bytes written between two syncs, so that the last one at the commit is short. */
const syncEvery = 64 * 1024 * 1024;

/** The names that one holder's file can have. */
export interface PartialUploadPaths {
  open: StoragePath;
  data: StoragePath;
  copy: StoragePath;
}

/** What is copied. */
interface CopySource {
  path: StoragePath;
  /** Bytes that count; all there are without it. */
  size?: number | undefined;
  /** Whether it stays. */
  keep?: boolean;
}

/** A file, and what is known of the digest of its bytes. */
interface Contents {
  path: StoragePath;
  /** Tells its size and appends to it; closed, unless the file is open. */
  writer: StorageWriter;
  algorithm: DigestAlgorithm;
  /** Has hashed all bytes; undefined where the file is read when it is needed. */
  digester?: Digester;
  /** The digest of all bytes, where only that is known. */
  digest?: Digest;
}

/**
 * The bytes of an upload that have arrived, in a file of its own for each core that ever wrote to it (its holders, told apart
 * by their fence numbers). Only its holder writes to a file, so what was hashed is what is there. The name is the state:
 *
 *     nothing ──create──▶ open.F ──close──▶ data.F ──write──▶ open.F     by one holder
 *                         data.N ──adopt──▶ data.F                       by a later one, F > N: renamed, as nobody writes to it
 *                         open.N ──copy───▶ copy.F ──▶ data.F            by a later one, or after a sync that failed
 *
 * Whoever opens a file gives it another name first, so that of two who would have it, one finds it gone. `copy.F` counts
 * for nothing, and `open.N` is removed when its copy is whole: a crash in between loses nothing.
 *
 * A partial upload only ever grows, and every byte in it counts: a client that sends bytes again, because it does not know
 * that they arrived, is held to what is there (`take-chunk.ts`).
 */
export class PartialUpload {
  readonly #driver: StorageDriver;
  readonly #paths: PartialUploadPaths;
  #contents: Contents;
  #unsynced = 0;
  /** Set when bytes may have been hashed that did not reach the file, or the reverse. */
  #broken = false;
  /** Set when a sync failed. */
  #unsyncable = false;

  private constructor(driver: StorageDriver, paths: PartialUploadPaths, contents: Contents) {
    this.#driver = driver;
    this.#paths = paths;
    this.#contents = contents;
  }

  /** A new, empty file. @throws StorageError exists: another holder has this number */
  static async create(
    driver: StorageDriver,
    paths: PartialUploadPaths,
    algorithm: DigestAlgorithm,
    path: StoragePath = paths.open,
  ): Promise<PartialUpload> {
    const writer = await driver.openWriter(path);
    const digester = new Digester(algorithm);
    return new PartialUpload(driver, paths, { path, writer, algorithm, digester });
  }

  /** A file of ours with the bytes of another, whose writer may still be at it. */
  static async copy(
    driver: StorageDriver,
    { path: from, size, keep = false }: CopySource,
    paths: PartialUploadPaths,
    algorithm: DigestAlgorithm,
  ): Promise<PartialUpload> {
    // Of ours as well: what an attempt left that failed half way.
    await driver.remove(paths.copy);
    const partial = await PartialUpload.create(driver, paths, algorithm, paths.copy);
    try {
      if (size !== 0) {
        const range = size === undefined ? undefined : { start: 0, end: size - 1 };
        const bytes = await driver.read(from, range);
        for await (const piece of bytes) await partial.write(piece as Buffer);
      }
      await partial.close();
    } catch (error) {
      await partial.#contents.writer.close();
      await driver.remove(paths.copy).catch(() => {});
      throw error;
    }
    if (!keep && from !== paths.data) await driver.remove(from);
    return partial;
  }

  /**
   * The closed file of the last holder, as ours. It is read only if more bytes come: the usual end of an upload brings
   * none.
   * @throws StorageError not-found if its holder has opened it again
   */
  static async adopt(
    driver: StorageDriver,
    from: StoragePath,
    paths: PartialUploadPaths,
    hashed: { algorithm: DigestAlgorithm; digest: Digest },
  ): Promise<PartialUpload> {
    await driver.rename(from, paths.data);
    const writer = await measure(driver, paths.data);
    return new PartialUpload(driver, paths, { path: paths.data, writer, ...hashed });
  }

  /** Our own closed file, hashed anew. */
  static async reread(
    driver: StorageDriver,
    paths: PartialUploadPaths,
    algorithm: DigestAlgorithm,
  ): Promise<PartialUpload> {
    const writer = await measure(driver, paths.data);
    const partial = new PartialUpload(driver, paths, { path: paths.data, writer, algorithm });
    await partial.#hash();
    return partial;
  }

  /** Where the file is now. */
  get path(): StoragePath {
    return this.#contents.path;
  }

  get size(): number {
    return this.#contents.writer.size;
  }

  /** Whether another request can go on with it: it is closed, and its digest is that of its bytes. */
  get usable(): boolean {
    return !this.#broken && this.path === this.#paths.data;
  }

  /** The digest of all bytes so far. */
  digest(): Digest {
    const { digest, digester } = this.#contents;
    if (digest !== undefined) return digest;
    if (digester === undefined) throw new Error(`${this.path} was not hashed`);
    return digester.digest();
  }

  /** The bytes from an offset to another one, which is not included. */
  async *read(start: number, end: number): AsyncGenerator<Buffer> {
    if (start >= end) return;
    const range = { start, end: end - 1 };
    for await (const bytes of await this.#driver.read(this.path, range)) yield bytes as Buffer;
  }

  /** Takes bytes; hashing runs while the storage writes. */
  async write(bytes: Buffer): Promise<void> {
    if (this.path === this.#paths.data) await this.#open();
    const digester = this.#contents.digester ?? (await this.#hash());
    delete this.#contents.digest;
    this.#broken = true;
    const written = this.#contents.writer.write(bytes);
    digester.update(bytes);
    await written;
    this.#broken = false;
    this.#unsynced += bytes.length;
    if (this.#unsynced >= syncEvery) await this.sync();
  }

  /**
   * Resolves when everything written is kept over a power loss. A system tells of bytes that it could not write once,
   * and then takes them for written; so after a failure the file stays open by its name, and whoever goes on copies it.
   */
  async sync(): Promise<void> {
    try {
      const isOpen = this.path !== this.#paths.data;
      const writer = isOpen ? this.#contents.writer : await this.#append(this.path);
      try {
        await writer.sync();
      } finally {
        if (!isOpen) await writer.close();
      }
      this.#unsynced = 0;
    } catch (error) {
      this.#broken = true;
      this.#unsyncable = true;
      throw error;
    }
  }

  /** Closes the file between two requests. */
  async close(): Promise<void> {
    await this.#contents.writer.close();
    if (this.#unsyncable) {
      if (this.path === this.#paths.data) await this.#rename(this.#paths.open);
    } else if (this.path !== this.#paths.data) await this.#rename(this.#paths.data);
  }

  async #open(): Promise<void> {
    await this.#rename(this.#paths.open);
    this.#contents.writer = await this.#append(this.path);
  }

  async #rename(to: StoragePath): Promise<void> {
    await this.#driver.rename(this.path, to);
    this.#contents.path = to;
  }

  /** Hashes what is in the file. */
  async #hash(): Promise<Digester> {
    const digester = new Digester(this.#contents.algorithm);
    for await (const bytes of await this.#driver.read(this.path)) digester.update(bytes as Buffer);
    this.#contents.digester = digester;
    return digester;
  }

  /** A writer at the end of what we know to be there. */
  async #append(path: StoragePath): Promise<StorageWriter> {
    const writer = await this.#driver.openWriter(path, this.#contents.writer.state());
    if (writer.size === this.size) return writer;
    await writer.close();
    this.#broken = true;
    throw new Error(`${path} has ${writer.size} bytes where ${this.size} were written`);
  }
}

/** A writer that tells the size and state of a file; it is closed. */
async function measure(driver: StorageDriver, path: StoragePath): Promise<StorageWriter> {
  const writer = await driver.openWriter(path, {});
  await writer.close();
  return writer;
}

/** The digest of a stored file, for an algorithm that was not computed on the way. */
export async function digestFile(
  driver: StorageDriver,
  path: StoragePath,
  algorithm: DigestAlgorithm,
): Promise<Digest> {
  const digester = new Digester(algorithm);
  for await (const bytes of await driver.read(path)) digester.update(bytes as Buffer);
  return digester.digest();
}
