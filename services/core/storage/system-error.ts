import { StorageError, type StorageErrorCode } from './driver.ts';

/** What the system says, in the words of the port; anything else is `failed`. */
export const errorCodes: Readonly<Record<string, StorageErrorCode>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  EEXIST: 'exists',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EROFS: 'read-only',
  EACCES: 'read-only',
  EPERM: 'read-only',
};

/** What the system said of a path, here or to another process of ours. */
export function storageErrorOf(
  path: string,
  { code, message, cause }: { code: string; message: string; cause?: unknown },
): StorageError {
  return new StorageError(errorCodes[code] ?? 'failed', path, {
    cause,
    message: `${path}: ${message}`,
  });
}
