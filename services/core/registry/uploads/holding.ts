import { type Digest, type DigestAlgorithm, Digester } from '#libs/oci/digest.ts';
import type { StorageDriver, StoragePath, StorageWriter } from '../../storage/driver.ts';
import type { HolderFile } from './session-files.ts';

/** Bytes written between two syncs, so that the last one at the commit is short. */
const syncEvery = 64 * 1024 * 1024;

/** The names of one holder's file. */
export interface HoldingPaths {
  /** Between two requests. */
  closed: StoragePath;
  /** While it is written to: whoever would take the closed file over does not find it. */
  open: StoragePath;
  /** While it is made from another holder's. */
  copy: StoragePath;
}

interface Hashed {
  algorithm: DigestAlgorithm;
  /** Undefined where only the digest of what is there is known, or nothing. */
  digester?: Digester;
  adopted?: Digest;
}

/**
 * One holder's file of one upload, with the digest of what is in it. Only this holder ever writes
 * the file, so what was hashed is what is there.
 */
export class Holding {
  readonly #driver: StorageDriver;
  readonly #paths: HoldingPaths;
  readonly #algorithm: DigestAlgorithm;
  #digester: Digester | undefined;
  #adopted: Digest | undefined;
  #writer: StorageWriter;
  /** The name of the file while it is open; undefined while it is closed. */
  #openAs: StoragePath | undefined;
  #unsynced = 0;
  /** Set when bytes may have been hashed that did not reach the file, or the reverse. */
  #broken = false;
  /** True while a request uses it. */
  busy = false;

  private constructor(
    driver: StorageDriver,
    paths: HoldingPaths,
    opened: { writer: StorageWriter; as: StoragePath | undefined },
    { algorithm, digester, adopted }: Hashed,
  ) {
    this.#driver = driver;
    this.#paths = paths;
    this.#writer = opened.writer;
    this.#openAs = opened.as;
    this.#algorithm = algorithm;
    this.#digester = digester;
    this.#adopted = adopted;
  }

  /** A new, empty file of ours. @throws StorageError exists: another holder has this number */
  static async create(
    driver: StorageDriver,
    paths: HoldingPaths,
    algorithm: DigestAlgorithm,
    as = paths.open,
  ): Promise<Holding> {
    const writer = await driver.openWriter(as);
    const digester = new Digester(algorithm);
    return new Holding(driver, paths, { writer, as }, { algorithm, digester });
  }

  /**
   * A file of ours that begins with what the last holder left. It gets its name only when it is whole,
   * so that a crash in the middle loses nothing.
   */
  static async takeOver(
    driver: StorageDriver,
    from: HolderFile,
    paths: HoldingPaths,
    algorithm: DigestAlgorithm,
  ): Promise<Holding> {
    const holding = await Holding.create(driver, paths, algorithm, paths.copy);
    try {
      for await (const chunk of await driver.read(from.path)) await holding.write(chunk as Buffer);
    } catch (error) {
      await holding.#writer.close();
      throw error;
    }
    await holding.release();
    await driver.remove(from.path);
    return holding;
  }

  /**
   * The closed file of the last holder, as ours. It is read again only if more bytes come: the usual end
   * of an upload brings none.
   * @throws StorageError not-found if its holder has opened it again
   */
  static async adopt(
    driver: StorageDriver,
    from: HolderFile,
    paths: HoldingPaths,
    { algorithm, digest }: { algorithm: DigestAlgorithm; digest: Digest },
  ): Promise<Holding> {
    await driver.rename(from.path, paths.closed);
    const writer = await measure(driver, paths.closed);
    return new Holding(driver, paths, { writer, as: undefined }, { algorithm, adopted: digest });
  }

  /** Our own file after a write that failed: what it holds is hashed anew. */
  static async reread(
    driver: StorageDriver,
    own: HolderFile,
    paths: HoldingPaths,
    algorithm: DigestAlgorithm,
  ): Promise<Holding> {
    if (own.open) await driver.rename(paths.open, paths.closed);
    const writer = await measure(driver, paths.closed);
    const holding = new Holding(driver, paths, { writer, as: undefined }, { algorithm });
    await holding.#hash();
    return holding;
  }

  /** Where the file is when it is released. */
  get path(): StoragePath {
    return this.#paths.closed;
  }

  get size(): number {
    return this.#writer.size;
  }

  get usable(): boolean {
    return !this.#broken;
  }

  /** The digest of all bytes so far. */
  digest(): Digest {
    if (this.#adopted !== undefined) return this.#adopted;
    if (this.#digester === undefined) throw new Error(`${this.path} was not hashed`);
    return this.#digester.digest();
  }

  /** Takes bytes; hashing runs while the storage writes. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#openAs === undefined) await this.#open();
    const digester = this.#digester ?? (await this.#hash());
    this.#adopted = undefined;
    this.#broken = true;
    const written = this.#writer.write(bytes);
    digester.update(bytes);
    await written;
    this.#broken = false;
    this.#unsynced += bytes.length;
    if (this.#unsynced >= syncEvery) await this.sync();
  }

  /** Resolves when everything written is kept over a power loss. */
  async sync(): Promise<void> {
    if (this.#openAs !== undefined) {
      await this.#writer.sync();
    } else {
      const writer = await this.#append(this.#paths.closed);
      try {
        await writer.sync();
      } finally {
        await writer.close();
      }
    }
    this.#unsynced = 0;
  }

  /** Lets go of the open file between two requests. */
  async release(): Promise<void> {
    const openAs = this.#openAs;
    if (openAs === undefined) return;
    this.#openAs = undefined;
    await this.#writer.close();
    await this.#driver.rename(openAs, this.#paths.closed);
  }

  /** Hashes what is in the file. */
  async #hash(): Promise<Digester> {
    const digester = new Digester(this.#algorithm);
    const path = this.#openAs ?? this.#paths.closed;
    for await (const chunk of await this.#driver.read(path)) digester.update(chunk as Buffer);
    this.#digester = digester;
    return digester;
  }

  async #open(): Promise<void> {
    await this.#driver.rename(this.#paths.closed, this.#paths.open);
    this.#openAs = this.#paths.open;
    this.#writer = await this.#append(this.#paths.open);
  }

  /** A writer at the end of what we know to be there. */
  async #append(path: StoragePath): Promise<StorageWriter> {
    const expected = this.#writer.size;
    const writer = await this.#driver.openWriter(path, this.#writer.state());
    if (writer.size === expected) return writer;
    await writer.close();
    this.#broken = true;
    throw new Error(`${path} has ${writer.size} bytes where ${expected} were written`);
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
  for await (const chunk of await driver.read(path)) digester.update(chunk as Buffer);
  return digester.digest();
}
