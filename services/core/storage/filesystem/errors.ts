import { StorageError, type StorageErrorCode, type VisibleStep } from '../driver.ts';

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

/** Carries what a caller's `confirm` threw past those who explain the system's errors. */
class NotConfirmed extends Error {}

/**
 * Asks whether a step that others would see is to be taken; what the caller throws comes out of {@link guard} as it
 * is.
 */
export async function confirmStep(step: VisibleStep | undefined): Promise<void> {
  try {
    await step?.confirm?.();
  } catch (cause) {
    throw new NotConfirmed('the step is not to be taken', { cause });
  }
}

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

/** Runs an action of the system. @throws StorageError with the system's reason */
export async function guard<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof NotConfirmed) throw cause.cause;
    const { code = '', message } = cause as NodeJS.ErrnoException;
    throw storageErrorOf(path, { code, message, cause });
  }
}
