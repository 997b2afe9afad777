import type { Digest, DigestAlgorithm } from '../oci/digest.ts';

/** An empty file that another process is to write. */
export interface FileToWrite<Path extends string = string> {
  /** Below a folder that both know. */
  path: Path;
  /** `device:inode`: it must be this very one. */
  identity: string;
  /** Of the digest that is to be told. */
  algorithm: DigestAlgorithm;
}

/** What became of a file that another process was to write. */
export type WrittenFile =
  /** It is synced and closed. `isWhole`: all has come that was to come. */
  | { kind: 'closed'; size: number; digest: Digest; isWhole: boolean }
  /** It is closed, and may hold anything: it could not be written, as the system said. */
  | { kind: 'failed'; code: string; message: string };
