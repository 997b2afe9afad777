import {
  type StorageDriver,
  StorageError,
  type StorageWriter,
  type VisibleStep,
} from './driver.ts';

export interface WriteGuard {
  /** Called directly before something is changed; what it throws, the operation throws. */
  before(): Promise<void>;
  /** Told of what the storage refused to change. */
  failed(error: StorageError): void;
}

/** The members that change what readers may see. */
const changes = ['put', 'openWriter', 'move', 'rename', 'remove', 'prune', 'touch'] as const;

/** Which argument of a change is the step. */
const stepAt: Readonly<Record<string, number>> = { put: 2, remove: 1 };

/** The same driver, with every ability it has; who changes something is asked about, and heard of when it fails. */
export function guardWrites(driver: StorageDriver, guard: WriteGuard): StorageDriver {
  const guarded = new Map<string | symbol, unknown>();
  for (const name of changes) {
    const member = driver[name] as ((...args: unknown[]) => Promise<unknown>) | undefined;
    if (member === undefined) continue;
    guarded.set(name, async (...given: unknown[]) => {
      await guard.before();
      const args = confirmedBy(guard, name, given);
      const result = await report(
        guard,
        () => Reflect.apply(member, driver, args) as Promise<unknown>,
      );
      return name === 'openWriter' ? guardWriter(result as StorageWriter, guard) : result;
    });
  }
  return new Proxy(driver, {
    get(target, name) {
      const known = guarded.get(name);
      if (known !== undefined) return known;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

/** Where a caller is asked directly before a step, so is the guard: writing and syncing may have taken a while. */
function confirmedBy(guard: WriteGuard, name: string, args: unknown[]): unknown[] {
  const place = stepAt[name];
  if (place === undefined) return args;
  const step = args[place] as VisibleStep | undefined;
  const confirmed = [...args];
  confirmed[place] = {
    async confirm() {
      await guard.before();
      await step?.confirm?.();
    },
  } satisfies VisibleStep;
  return confirmed;
}

/** Its file is its holder's own, and nobody sees it before it is moved: nobody has to be asked. */
function guardWriter(writer: StorageWriter, guard: WriteGuard): StorageWriter {
  return {
    get size() {
      return writer.size;
    },
    write: (bytes) => report(guard, () => writer.write(bytes)),
    sync: () => report(guard, () => writer.sync()),
    close: () => writer.close(),
  };
}

async function report<T>(guard: WriteGuard, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const told = error instanceof StorageError && !['not-found', 'exists'].includes(error.code);
    if (told) guard.failed(error);
    throw error;
  }
}
