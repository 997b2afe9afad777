import { type Digest, type DigestAlgorithm, Digester } from '#libs/oci/digest.ts';
import type { StorageDriver, StoragePath, StorageWriter } from '../../storage/driver.ts';

/** Bytes written between two syncs, so that the last one at the commit is short. */
const syncEvery = 64 * 1024 * 1024;

/**
 * One holder's file of one upload, with the digest of what is in it. Only this holder ever writes
 * the file, so what was hashed is what is there.
 */
export class Holding {
  readonly path: StoragePath;
  readonly #driver: StorageDriver;
  readonly #algorithm: DigestAlgorithm;
  /** Undefined while only the digest of what is there is known. */
  #digester: Digester | undefined;
  #adopted: Digest | undefined;
  #writer: StorageWriter;
  #open = true;
  #unsynced = 0;
  /** Set when bytes may have been hashed that did not reach the file, or the reverse. */
  #broken = false;

  private constructor(
    driver: StorageDriver,
    path: StoragePath,
    writer: StorageWriter,
    hashed: { algorithm: DigestAlgorithm; digester?: Digester; adopted?: Digest },
  ) {
    this.#driver = driver;
    this.path = path;
    this.#writer = writer;
    this.#algorithm = hashed.algorithm;
    this.#digester = hashed.digester;
    this.#adopted = hashed.adopted;
  }

  /** A new, empty file of ours. @throws StorageError exists: another holder has this number */
  static async create(
    driver: StorageDriver,
    path: StoragePath,
    algorithm: DigestAlgorithm,
  ): Promise<Holding> {
    const digester = new Digester(algorithm);
    return new Holding(driver, path, await driver.openWriter(path), { algorithm, digester });
  }

  /**
   * A file of ours that begins with what the last holder left. It gets its name only when it is whole,
   * so that a crash in the middle loses nothing.
   */
  static async takeOver(
    driver: StorageDriver,
    from: StoragePath,
    copy: StoragePath,
    path: StoragePath,
    algorithm: DigestAlgorithm,
  ): Promise<Holding> {
    const copying = await Holding.create(driver, copy, algorithm);
    try {
      for await (const chunk of await driver.read(from)) await copying.write(chunk as Buffer);
    } finally {
      await copying.release();
    }
    await driver.move(copy, path);
    const { digester } = copying.#hashed();
    const holding = new Holding(driver, path, copying.#writer, { algorithm, digester });
    holding.#open = false;
    await driver.remove(from);
    return holding;
  }

  /**
   * The closed file of the last holder, as ours. It is read again only if more bytes come: the usual end
   * of an upload brings none.
   */
  static async adopt(
    driver: StorageDriver,
    from: StoragePath,
    path: StoragePath,
    { algorithm, digest }: { algorithm: DigestAlgorithm; digest: Digest },
  ): Promise<Holding> {
    await driver.move(from, path);
    const writer = await driver.openWriter(path, {});
    const holding = new Holding(driver, path, writer, { algorithm, adopted: digest });
    await holding.release();
    return holding;
  }

  /** Our own file after a write that failed: what it holds is hashed anew. */
  static async reread(
    driver: StorageDriver,
    path: StoragePath,
    algorithm: DigestAlgorithm,
  ): Promise<Holding> {
    const writer = await driver.openWriter(path, {});
    const holding = new Holding(driver, path, writer, { algorithm });
    try {
      await holding.#hash();
    } finally {
      await holding.release();
    }
    return holding;
  }

  get size(): number {
    return this.#writer.size;
  }

  get usable(): boolean {
    return !this.#broken;
  }

  /** The digest of all bytes so far. */
  digest(): Digest {
    return this.#adopted ?? this.#hashed().digester.digest();
  }

  /** Takes bytes; hashing runs while the storage writes. */
  async write(bytes: Buffer): Promise<void> {
    await this.#reopen();
    if (this.#digester === undefined) await this.#hash();
    const { digester } = this.#hashed();
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
    await this.#reopen();
    await this.#writer.sync();
    this.#unsynced = 0;
  }

  /** Lets go of the open file between two requests. */
  async release(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#writer.close();
  }

  /** Hashes what is in the file. */
  async #hash(): Promise<void> {
    const digester = new Digester(this.#algorithm);
    for await (const chunk of await this.#driver.read(this.path)) digester.update(chunk as Buffer);
    this.#digester = digester;
  }

  #hashed(): { digester: Digester } {
    if (this.#digester === undefined) throw new Error(`${this.path} was not hashed`);
    return { digester: this.#digester };
  }

  async #reopen(): Promise<void> {
    if (this.#open) return;
    const expected = this.#writer.size;
    const writer = await this.#driver.openWriter(this.path, this.#writer.state());
    if (writer.size !== expected) {
      await writer.close();
      this.#broken = true;
      throw new Error(`${this.path} has ${writer.size} bytes where ${expected} were written`);
    }
    this.#writer = writer;
    this.#open = true;
  }
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
