import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { VisibleStep } from '../../storage/driver.ts';

/** What can be wrong with a tree; docs/fsck.md explains each. */
export type FindingKind =
  | 'torn-link'
  | 'dangling-link'
  | 'dangling-tag'
  | 'stale-tag'
  | 'missing-content'
  | 'wrong-size'
  | 'damaged-blob'
  | 'unreadable-blob'
  | 'misplaced-blob'
  | 'misplaced-link'
  | 'orphan-upload'
  | 'unlisted-referrer'
  | 'stale-referrer';

/** Something that is wrong. */
export interface Finding {
  kind: FindingKind;
  repository?: RepositoryName;
  /** Tag, upload or digest that is meant. */
  subject: string;
  message: string;
}

/** It is not what was looked at any more. */
export class ChangedMeanwhile extends Error {}

/** What was seen, until it is certain that it was no moment in the middle of a push. */
export interface SuspectedFinding extends Finding {
  /** Looks again. */
  isStillSo: () => Promise<boolean>;
  /**
   * Makes it right without losing anything; undefined where only a person can.
   * @param step looks at the repository's lock directly before
   */
  repair?: (step: VisibleStep) => Promise<void>;
}

export interface TreeSummary {
  repositories: number;
  manifests: number;
  tags: number;
  /** Blobs in their place, and what they take. */
  blobs: { count: number; bytes: number };
  /** Of those, what no repository names: what a collection would take. */
  unreferenced: { count: number; bytes: number };
  /** Uploads that are not finished, and what has come of them. */
  uploads: { count: number; bytes: number };
  trash: { count: number };
}

export type Report = (suspicion: SuspectedFinding) => void;
export type NamedBlobs = Set<Digest>;

/** Adds one thing of a size in bytes. */
export function count(sum: { count: number; bytes: number }, size: number): void {
  sum.count += 1;
  sum.bytes += size;
}
