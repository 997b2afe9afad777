import type { StorageDriver } from '../../services/core/storage/driver.ts';

/** A real driver whose reading a test can hold up. */
export interface GatedDriver {
  driver: StorageDriver;
  /** Operations that are held up. */
  waiting(): number;
  /** Operations that were begun. */
  passed(): number;
  close(): void;
  open(): void;
}

export function createGatedDriver(real: StorageDriver): GatedDriver {
  let held: (() => void)[] | undefined;
  let passed = 0;
  const driver = new Proxy(real, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        if (
          held !== undefined &&
          ['stat', 'list', 'read', 'openFile', 'readWhole'].includes(String(name))
        ) {
          await new Promise<void>((resolve) => held?.push(resolve));
        }
        passed += 1;
        return await (Reflect.apply(member, target, args) as unknown);
      };
    },
  });
  return {
    driver,
    waiting: () => held?.length ?? 0,
    passed: () => passed,
    close() {
      held = [];
    },
    open() {
      const waiting = held ?? [];
      held = undefined;
      for (const go of waiting) go();
    },
  };
}
