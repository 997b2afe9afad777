import type { FileToWrite, WrittenFile } from '#libs/files/file-to-write.ts';
import type { Digest, DigestAlgorithm } from '#libs/oci/digest.ts';
import type { UploadProgress, UploadSession } from '../../sessions/session-store.ts';
import { type StorageDriver, StorageError, type StoragePath } from '../../storage/driver.ts';
import { storageErrorOf } from '../../storage/system-error.ts';
import { paths, type UploadFile } from '../paths.ts';
import { HashedFile } from './hashed-file.ts';
import { type FolderFile, findStored, type UploadPlace } from './upload-folder.ts';
import { type HeldUpload, openProver } from './upload-holder.ts';

/**
 * Has another process write a file, until the signal is aborted or nothing more comes.
 * @throws Error where it may be writing yet
 */
export type DelegateWrite = (
  file: FileToWrite<StoragePath>,
  signal: AbortSignal,
) => Promise<WrittenFile>;

/** Bytes written between two syncs, so that the last one at the commit is short. */
const syncEvery = 64 * 1024 * 1024;

/** The names that one holder's file can have, and the one that says that it is the holder. */
interface PartialUploadPaths {
  session: StoragePath;
  open: StoragePath;
  data: StoragePath;
  copy: StoragePath;
}

type Prover = NonNullable<Awaited<ReturnType<typeof openProver>>>;

/** Who has the bytes, or is about to. */
interface Holder {
  driver: StorageDriver;
  fence: number;
  paths: PartialUploadPaths;
  prove: Prover | undefined;
}

/**
 * The bytes of an upload that have arrived, in a file of its own for each holder. A holder is one object of this class: no
 * other one, in whatever process, has its number. Only its holder writes to a file, so what was hashed is what is there. The name
 * is the state:
 *
 *     nothing ──create──▶ open.F ──close──▶ data.F ──write──▶ open.F     by one holder
 *             open.F ──delegate, reported──▶ data.F; not reported: stays open.F
 *             data.F ──a sync or a close fails──▶ open.F, for good: nobody knows what of it stays
 *                         data.N ──adopt──▶ data.F                       by a later one, F > N: renamed, as nobody writes to it
 *                         open.N ──copy───▶ copy.F ──▶ data.F            by a later one
 *                         blob   ──copy───▶ copy.F ──▶ data.F            the same, where the bytes were moved already
 *
 * Whoever opens a file gives it another name first, so that of two who would have it, one finds it gone. `copy.F` counts
 * for nothing, and `open.N` is removed when its copy is whole: a crash in between loses nothing. No file is ever renamed
 * to a name that another one has.
 *
 * A partial upload only ever grows, and every byte in it counts: a client that sends bytes again, because it does not know
 * that they arrived, is held to what is there (`take-chunk.ts`).
 */
export class PartialUpload {
  /** The holder's number. */
  readonly fence: number;
  readonly #driver: StorageDriver;
  readonly #paths: PartialUploadPaths;
  readonly #prove: Prover | undefined;
  #file: HashedFile;
  #unsynced = 0;
  /**
   * `broken`: bytes may have been hashed that did not reach the file, or the reverse. `unsettled`: a sync failed, or another process may
   * write, so that what is in the file may change yet.
   */
  #state: 'sound' | 'broken' | 'unsettled' = 'sound';
  /** Throws when what reads the file is to stop. */
  #assertWanted = () => {};

  private constructor(holder: Holder, file: HashedFile) {
    this.#driver = holder.driver;
    this.fence = holder.fence;
    this.#paths = holder.paths;
    this.#prove = holder.prove;
    this.#file = file;
  }

  /**
   * Makes what an upload has its new holder's: by a rename, or by a copy, which is finished whoever waits for it.
   * @param session what is remembered of it: saves reading the file if it was that file when it was closed
   * @throws StorageError not-found if the last holder got ahead of us: it opened its file again, or moved it
   */
  static async takeOver(
    driver: StorageDriver,
    { newest, stored, fence }: HeldUpload,
    session: UploadSession,
  ): Promise<PartialUpload> {
    const { algorithm } = session;
    const blob = stored === undefined ? undefined : await findStored(driver, stored);
    const prove = await openProver(driver, session, fence);
    const holder = { driver, fence, paths: pathsOf(session, fence), prove };
    if (blob !== undefined) return await PartialUpload.#copy(holder, blob, algorithm);
    if (newest === undefined) {
      return await PartialUpload.#create(holder, holder.paths.open, algorithm);
    }
    if (newest.kind === 'data') return await PartialUpload.#adopt(holder, newest, session);
    const partial = await PartialUpload.#copy(holder, newest, algorithm);
    await driver.remove(newest.path);
    return partial;
  }

  static async #create(
    holder: Holder,
    path: StoragePath,
    algorithm: DigestAlgorithm,
  ): Promise<PartialUpload> {
    return new PartialUpload(holder, await HashedFile.create(holder.driver, path, algorithm));
  }

  /** Copies what another one may still write to, or what is somebody else's as well. */
  static async #copy(
    holder: Holder,
    { path: from, size }: { path: StoragePath; size?: number },
    algorithm: DigestAlgorithm,
  ): Promise<PartialUpload> {
    const { driver, paths } = holder;
    const partial = await PartialUpload.#create(holder, paths.copy, algorithm);
    try {
      if (size !== 0) {
        const range = size === undefined ? undefined : { start: 0, end: size - 1 };
        const bytes = await driver.read(from, range);
        for await (const piece of bytes) await partial.write(piece as Buffer);
      }
      await partial.close();
    } catch (error) {
      await partial.#file.close();
      await driver.remove(paths.copy).catch(() => {});
      throw error;
    }
    return partial;
  }

  /** The closed file of the last holder. */
  static async #adopt(
    holder: Holder,
    newest: FolderFile,
    { algorithm, ...noted }: UploadSession,
  ): Promise<PartialUpload> {
    const { driver, paths, prove } = holder;
    await driver.rename(newest.path, paths.data);
    const { digest, proof } = noted;
    const file = await HashedFile.find(driver, paths.data, algorithm, (size) => {
      const isOfThese = noted.fence === newest.fence && noted.offset === size;
      const isProven = proof !== undefined && proof === prove?.(noted);
      return isOfThese && isProven ? digest : undefined;
    });
    return new PartialUpload(holder, file);
  }

  /**
   * Looks whether this is still the upload's holder: before it uses what it remembers, and before it acknowledges.
   * @throws StorageError not-found if another one took the upload over, or it is over
   */
  async assertHeld(): Promise<void> {
    await this.#driver.stat(this.#paths.session);
  }

  /**
   * Learns the digest of what another holder left, unless it is known.
   * @param assertWanted throws when the file is to be read no further, here or where more bytes come; whoever goes on later
   *   goes on from there
   */
  async prepare(assertWanted: () => void): Promise<void> {
    this.#assertWanted = assertWanted;
    if (!this.#file.isKnown) await this.#file.hash(assertWanted);
  }

  /** Where the file is now. */
  get path(): StoragePath {
    return this.#file.path;
  }

  get size(): number {
    return this.#file.size;
  }

  /** Whether another request can go on with it: it is closed, and its digest is that of its bytes. */
  get usable(): boolean {
    return this.#state === 'sound' && this.path === this.#paths.data;
  }

  /** What is noted of it in the session store, for whoever holds it next. */
  get progress(): UploadProgress {
    const { fence, size: offset } = this;
    const noted = { fence, offset, digest: this.usable ? this.digest() : undefined };
    return { ...noted, proof: this.#prove?.(noted) };
  }

  /** Says that its bytes are about to go: no other request goes on with it. */
  invalidate(): void {
    this.#break();
  }

  /** The digest of all bytes so far. */
  digest(): Digest {
    return this.#file.digest();
  }

  /** The bytes from an offset to another one, which is not included. */
  read(start: number, end: number): AsyncGenerator<Buffer> {
    return this.#file.read(start, end);
  }

  /** Takes bytes; hashing runs while the storage writes. */
  async write(bytes: Buffer): Promise<void> {
    if (this.path === this.#paths.data) await this.#open();
    await this.#file.hash(this.#assertWanted);
    this.#break();
    await this.#file.append(bytes);
    if (this.#state === 'broken') this.#state = 'sound';
    this.#unsynced += bytes.length;
    if (this.#unsynced >= syncEvery) await this.sync();
  }

  /**
   * Has another process write the first bytes. Unless it says that it has closed the file, that stays open by its name, and
   * whoever goes on copies it.
   * @returns bytes that came, and whether these are all
   * @throws StorageError if it could not be written; what `write` throws
   */
  async delegate(
    write: DelegateWrite,
    signal: AbortSignal,
  ): Promise<{ size: number; isWhole: boolean }> {
    if (this.size > 0) throw new Error(`${this.path} has bytes already`);
    if (this.path === this.#paths.data) await this.#open();
    const { path } = this;
    const { algorithm } = this.#file;
    await this.#file.close();
    const identity = await this.#file.identity();
    this.#state = 'unsettled';
    const written = await write({ path, identity, algorithm }, signal);
    if (written.kind === 'failed') throw storageErrorOf(path, written);
    const { size, digest, isWhole } = written;
    this.#file = await HashedFile.find(this.#driver, path, algorithm, () => digest);
    if (this.size !== size) {
      throw new StorageError('failed', path, {
        message: `${path} has ${this.size} bytes where another process wrote ${size}`,
      });
    }
    this.#state = 'sound';
    return { size, isWhole };
  }

  /**
   * Resolves when everything written is kept over a power loss. A system tells of bytes that it could not write once,
   * and then takes them for written; so after a failure the file stays open by its name, and whoever goes on copies it.
   */
  async sync(): Promise<void> {
    try {
      await this.#file.sync();
      this.#unsynced = 0;
    } catch (error) {
      this.#state = 'unsettled';
      throw error;
    }
  }

  /** Closes the file between two requests. */
  async close(): Promise<void> {
    try {
      await this.#file.close();
    } catch (error) {
      // As with a sync that failed: some systems tell only here of bytes that they could not write.
      this.#state = 'unsettled';
      throw error;
    }
    if (this.#state === 'unsettled') {
      if (this.path === this.#paths.data) await this.#file.rename(this.#paths.open);
    } else if (this.path !== this.#paths.data) await this.#file.rename(this.#paths.data);
  }

  #break(): void {
    if (this.#state === 'sound') this.#state = 'broken';
  }

  async #open(): Promise<void> {
    await this.#file.rename(this.#paths.open);
    try {
      await this.#file.open();
    } catch (error) {
      this.#break();
      throw error;
    }
  }
}

function pathsOf({ repository, id }: UploadPlace, fence: number): PartialUploadPaths {
  const of = (kind: UploadFile['kind']) => paths.uploadFile(repository, id, { kind, fence });
  return { session: of('session'), open: of('open'), data: of('data'), copy: of('copy') };
}
