import { type Digest, type DigestAlgorithm, Digester } from '#libs/oci/digest.ts';
import {
  type StorageDriver,
  StorageError,
  type StoragePath,
  type StorageWriter,
} from '../../storage/driver.ts';

/** A file that grows while it is open, and what is known of the digest of its bytes. */
export class HashedFile {
  readonly algorithm: DigestAlgorithm;
  readonly #driver: StorageDriver;
  #path: StoragePath;
  /** Tells its size and appends to it; closed between two requests. */
  #writer: StorageWriter;
  #isOpen: boolean;
  /** Has hashed `#hashed` bytes: all, unless another process wrote them. */
  readonly #digester: Digester;
  #hashed = 0;
  /** The digest of all bytes, where only that is known. */
  #digest: Digest | undefined;

  private constructor(
    driver: StorageDriver,
    path: StoragePath,
    { writer, isOpen }: { writer: StorageWriter; isOpen: boolean },
    algorithm: DigestAlgorithm,
  ) {
    this.#driver = driver;
    this.#path = path;
    this.#writer = writer;
    this.#isOpen = isOpen;
    this.algorithm = algorithm;
    this.#digester = new Digester(algorithm);
  }

  /** A new file, open. @throws StorageError exists */
  static async create(
    driver: StorageDriver,
    path: StoragePath,
    algorithm: DigestAlgorithm,
  ): Promise<HashedFile> {
    const writer = await driver.openWriter(path);
    return new HashedFile(driver, path, { writer, isOpen: true }, algorithm);
  }

  /**
   * One that is there, closed, as long as it is now.
   * @param digest that of so many bytes, where it is known
   * @throws StorageError not-found
   */
  static async find(
    driver: StorageDriver,
    path: StoragePath,
    algorithm: DigestAlgorithm,
    digest?: (size: number) => Digest | undefined,
  ): Promise<HashedFile> {
    const writer = await driver.openWriter(path, 'append');
    await writer.close();
    const file = new HashedFile(driver, path, { writer, isOpen: false }, algorithm);
    file.#digest = digest?.(writer.size);
    return file;
  }

  /** Where it is now. */
  get path(): StoragePath {
    return this.#path;
  }

  /** Bytes. */
  get size(): number {
    return this.#writer.size;
  }

  /** The digest of all bytes. @throws Error if they were not hashed */
  digest(): Digest {
    if (this.#digest !== undefined) return this.#digest;
    if (this.#hashed !== this.size) throw new Error(`${this.path} was not hashed`);
    return this.#digester.digest();
  }

  /** Whether the digest of its bytes is known. */
  get isKnown(): boolean {
    return this.#digest !== undefined || this.#hashed === this.size;
  }

  /** Appends bytes to it, while it is open and hashed; hashing runs while the storage writes. */
  async append(bytes: Buffer): Promise<void> {
    this.#digest = undefined;
    const written = this.#writer.write(bytes);
    this.#digester.update(bytes);
    this.#hashed += bytes.length;
    await written;
  }

  /**
   * Hashes what is in it and was not hashed yet, also where the digest is known: only then can more be added to it.
   * @param assertWanted throws when it is to be read no further; whoever goes on later goes on from there
   */
  async hash(assertWanted: () => void): Promise<void> {
    if (this.#hashed === this.size) return;
    const range = { start: this.#hashed, end: this.size - 1 };
    for await (const bytes of await this.#driver.read(this.path, range)) {
      assertWanted();
      this.#digester.update(bytes as Buffer);
      this.#hashed += (bytes as Buffer).length;
    }
  }

  /** The bytes from an offset to another one, which is not included. */
  async *read(start: number, end: number): AsyncGenerator<Buffer> {
    if (start >= end) return;
    const range = { start, end: end - 1 };
    for await (const bytes of await this.#driver.read(this.path, range)) yield bytes as Buffer;
  }

  async rename(to: StoragePath): Promise<void> {
    await this.#driver.rename(this.path, to);
    this.#path = to;
  }

  /** Opens it again, to be appended to. @throws StorageError if it is not as long as it was */
  async open(): Promise<void> {
    const { size } = this;
    const writer = await this.#driver.openWriter(this.path, 'append');
    if (writer.size !== size) {
      await writer.close();
      throw new StorageError('failed', this.path, {
        message: `${this.path} has ${writer.size} bytes where ${size} were written`,
      });
    }
    this.#writer = writer;
    this.#isOpen = true;
  }

  /** Resolves when everything written is kept over a power loss. */
  async sync(): Promise<void> {
    if (this.#isOpen) return await this.#writer.sync();
    await this.open();
    try {
      await this.#writer.sync();
    } finally {
      await this.close();
    }
  }

  /** Does nothing where it is closed. */
  async close(): Promise<void> {
    this.#isOpen = false;
    await this.#writer.close();
  }

  /** Which file it is, as another process sees it: `device:inode`. */
  async identity(): Promise<string> {
    let identity: string | undefined;
    await this.#driver.stat(this.path, (_, state) => {
      identity = state === undefined ? undefined : `${state.device}:${state.inode}`;
    });
    if (identity === undefined)
      throw new Error(`${this.#driver.name} does not tell which file it is`);
    return identity;
  }
}
