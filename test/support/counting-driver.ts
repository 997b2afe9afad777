import type { StorageDriver } from '../../services/core/storage/driver.ts';

export interface CountingDriver extends StorageDriver {
  reset(): void;
  /** The names of the operations since the last reset, in order. */
  operations(): string[];
}

/** A real driver that notes what it is asked to do. */
export function createCountingDriver(driver: StorageDriver): CountingDriver {
  let operations: string[] = [];
  const counted = new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        operations.push(String(name));
        return Reflect.apply(member, target, args) as unknown;
      };
    },
  });
  return new Proxy(counted as CountingDriver, {
    get(target, name) {
      if (name === 'reset') {
        return () => {
          operations = [];
        };
      }
      return name === 'operations' ? () => [...operations] : Reflect.get(target, name);
    },
  });
}
