import type { Digest, DigestAlgorithm } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { Confirmable, Requester } from './locks.ts';

/** What is known of an upload on its way (distribution-spec, "Pushing blobs"). */
export interface UploadSession {
  id: UploadId;
  repository: RepositoryName;
  /** Account the session belongs to; empty for an anonymous caller or an open registry. */
  subject: string;
  /** Whence a caller without an account came, by which its uploads are counted. */
  network?: string | undefined;
  /** The digest that is computed while bytes arrive. */
  algorithm: DigestAlgorithm;
  startedAt: Date;
  /** Number of the file that `offset` and `digest` speak of; 0 for none (docs/adr/0014). */
  fence: number;
  /** Bytes that had arrived when that was recorded last; storage may have more. */
  offset: number;
  /** Digest of the bytes up to `offset`; undefined where it must be computed anew. */
  digest: Digest | undefined;
  /** Shows that a holder noted these three, and nobody who can only write to the store. */
  proof: string | undefined;
}

/** What a holder reports of its progress. */
export type UploadProgress = Pick<UploadSession, 'fence' | 'offset' | 'digest' | 'proof'>;

export interface AcquireOptions {
  requester: Requester;
  /** Called when somebody else wants the session, or has it already: stop reading, record, release. */
  onReleaseRequested: () => void;
}

/** The right to write to one session, until disposed of. */
export interface SessionLock extends Confirmable, AsyncDisposable {
  readonly session: UploadSession;
  /** Records progress. @throws SessionLostError if the session is no longer ours; RequestGoneError */
  update(progress: UploadProgress): Promise<void>;
  /** Forgets the session; the lock is of no use afterwards. @throws SessionLostError */
  remove(): Promise<void>;
}

/**
 * The port between uploads and what coordinates them. Everything in it can be rebuilt from storage, which also says who holds
 * an upload: requests wait for each other here, and nothing is lost if two have one lock.
 */
export interface SessionStore {
  /** Adds a session; a known id is kept as it is, so that two may recover one session at once. */
  create(session: UploadSession): Promise<void>;
  read(id: UploadId): Promise<UploadSession | undefined>;
  /**
   * Waits for the session's lock, having asked its holder to let go.
   * @returns undefined if there is no such session (any more)
   * @throws SessionBusyError if the holder did not let go in time; RequestGoneError
   */
  acquire(id: UploadId, options: AcquireOptions): Promise<SessionLock | undefined>;
  close(): Promise<void>;
}

/** Somebody else writes to the session and does not let go. */
export class SessionBusyError extends Error {
  readonly code = 'session-busy';
}

/** The session went to another holder in the meantime; nothing of ours counts any more. */
export class SessionLostError extends Error {
  readonly code = 'session-lost';

  constructor(message = 'another core has taken this upload over') {
    super(message);
  }
}
