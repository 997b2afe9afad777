import type { VisibleStep } from '../driver.ts';
import { storageErrorOf } from '../system-error.ts';

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
