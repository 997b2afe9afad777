import { RegistryError } from '#libs/oci/errors.ts';
import { confirmWanted, type Requester, RequestGoneError } from '../../sessions/locks.ts';
import type { SessionLock } from '../../sessions/session-store.ts';
import type { DelegateWrite, PartialUpload } from './partial-upload.ts';
import { RepeatedChunkWriter } from './repeated-chunk-writer.ts';

/** Bytes of a request, and where they belong. */
export interface UploadChunk {
  /** Gives the bytes, and ends early when the signal is aborted. */
  source: (signal: AbortSignal) => AsyncIterable<Buffer>;
  /** Has another process write the bytes, instead of giving them; undefined where none can. */
  delegate?: DelegateWrite | undefined;
  /** Offset of the first byte as `Content-Range` says: the upload must have just these bytes before it. */
  start?: number | undefined;
  /**
   * Offset of the first byte as the address says to which the request came: where the upload ended when that
   * address was given. If what arrived since is the same, it was an earlier attempt.
   */
  locationOffset?: number | undefined;
  /** Number of bytes announced; undefined where unknown. */
  length?: number | undefined;
}

/** A request that has a session's lock. */
export interface LockedRequest {
  lock: SessionLock;
  requester: Requester;
  /** Aborted when somebody else wants the session. */
  releaseAsked: AbortSignal;
}

/**
 * Appends a chunk to a partial upload and records how far it got, also if the chunk breaks off: what arrived stays. Bytes that
 * are there already, from an attempt whose answer was lost, are not taken again.
 * @returns the offset behind the chunk; the upload may have more, where it was a repetition
 * @throws RegistryError RANGE_INVALID with `detail.offset`, SIZE_INVALID, UNAVAILABLE; RequestGoneError
 */
export async function takeChunk(
  { lock, requester, releaseAsked }: LockedRequest,
  partial: PartialUpload,
  { source, delegate, start, locationOffset, length = Infinity }: UploadChunk,
): Promise<number> {
  const { size } = partial;
  const begin = start ?? locationOffset ?? size;
  if (begin > size || (start !== undefined && begin < size)) {
    throw new RegistryError('RANGE_INVALID', {
      message: `the chunk starts at byte ${begin}, but the upload has ${size} bytes`,
      detail: { offset: size },
    });
  }
  // What a process that was held up finds waiting may have been answered long ago.
  await confirmWanted(requester);
  // A stop ends what waits for bytes, however slowly they come.
  const stop = AbortSignal.any([releaseAsked, requester.signal]);
  const isDelegated = delegate !== undefined && size === 0 && start === undefined && !stop.aborted;
  try {
    const assertWhole = (received: number, isWhole: boolean) => {
      if (isWhole) return;
      if (requester.signal.aborted) throw new RequestGoneError(requester.signal.reason);
      if (releaseAsked.aborted) throw takenOver();
      if (isDelegated) throw cutShort();
      if (length !== Infinity) throw wrongSize(length, received);
    };
    const end = isDelegated
      ? await takeWritten(partial, { delegate, stop, assertWhole })
      : await takeSent(partial, {
          source,
          stop,
          begin,
          length,
          assertWhole,
          assertWanted: assertWantedBy({ requester, releaseAsked }),
        });
    await partial.close();
    await confirmWanted(requester);
    await partial.assertHeld();
    await lock.update(partial.progress);
    return end;
  } catch (error) {
    await partial.close().catch(() => {});
    const record = async () => {
      await partial.assertHeld();
      await lock.update(partial.progress);
    };
    await record().catch(() => {});
    throw error;
  }
}

/** @throws what became of a chunk that is not all there, and why */
type AssertWhole = (received: number, isWhole: boolean) => void;

/** A chunk that another process writes. @returns the offset behind it */
async function takeWritten(
  partial: PartialUpload,
  {
    delegate,
    stop,
    assertWhole,
  }: { delegate: DelegateWrite; stop: AbortSignal; assertWhole: AssertWhole },
): Promise<number> {
  const { size, isWhole } = await partial.delegate(delegate, stop);
  assertWhole(size, isWhole);
  return partial.size;
}

interface SentChunk extends Required<Pick<UploadChunk, 'source'>> {
  stop: AbortSignal;
  /** Offset of the first byte. */
  begin: number;
  /** Bytes that were announced; Infinity where none were. */
  length: number;
  assertWhole: AssertWhole;
  /** Throws where nobody waits for the bytes any more. */
  assertWanted: () => void;
}

/** A chunk whose bytes come here. @returns the offset behind it; the upload may have more, where it was a repetition */
async function takeSent(
  partial: PartialUpload,
  { source, stop, begin, length, assertWhole, assertWanted }: SentChunk,
): Promise<number> {
  await using writer = new RepeatedChunkWriter(partial, begin, assertWanted);
  let received = 0;
  for await (const bytes of source(stop)) {
    await writer.write(bytes.subarray(0, length - received));
    received += bytes.length;
    if (received > length) break;
  }
  // One of unknown length is whole where nothing made it end.
  assertWhole(received, received === length || (length === Infinity && !stop.aborted));
  return writer.isRepetition && received > 0 ? begin + received : partial.size;
}

/** Reads what is not needed: behind bytes that nobody takes the end of a connection is not seen. */
export async function discard(source: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of source);
}

function wrongSize(announced: number, received: number): RegistryError {
  return new RegistryError('SIZE_INVALID', {
    message: `${announced} bytes were announced, ${received} arrived`,
    detail: { announced, received },
  });
}

/** Whether somebody waits for what a request does, and nobody else for the upload: asked between two pieces of it. */
export function assertWantedBy({
  requester,
  releaseAsked,
}: Pick<LockedRequest, 'requester' | 'releaseAsked'>): () => void {
  return () => {
    if (requester.signal.aborted) throw new RequestGoneError(requester.signal.reason);
    if (releaseAsked.aborted) throw takenOver();
  };
}

/** The error of a body that ended before its end. */
export function cutShort(cause?: unknown): RegistryError {
  return new RegistryError('REQUEST_INVALID', { message: 'the request body was cut short', cause });
}

/** The error of a request whose upload somebody else has now. */
export function takenOver(): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    message: 'another request has taken this upload over',
    retryAfter: 1,
  });
}
