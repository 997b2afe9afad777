import type {
  StorageDriver,
  StoragePath,
  StorageWriter,
  VisibleStep,
} from '../../services/core/storage/driver.ts';

/** One operation of the storage, about to happen. */
export interface Step {
  /** Counted from 1. */
  number: number;
  operation: string;
  path: StoragePath;
}

/** A real driver that stops before each operation, so that a test can do something in between. */
export function createSteppingDriver(
  driver: StorageDriver,
  before: (step: Step) => Promise<void>,
): StorageDriver {
  let number = 0;
  const step = async (operation: string, path: StoragePath) => {
    number += 1;
    await before({ number, operation, path });
  };
  const watch = (path: StoragePath, writer: StorageWriter): StorageWriter => ({
    get size() {
      return writer.size;
    },
    async write(bytes) {
      await step('write', path);
      await writer.write(bytes);
    },
    async sync() {
      await step('sync', path);
      await writer.sync();
    },
    close: () => writer.close(),
  });
  /** Also directly before it is asked whether the step may be taken. */
  const between = (operation: string, path: StoragePath, visible?: VisibleStep): VisibleStep => {
    const confirm = visible?.confirm;
    if (confirm === undefined) return {};
    return {
      async confirm() {
        await step(`confirm ${operation}`, path);
        await confirm();
      },
    };
  };
  const { prune, touch } = driver;
  return {
    name: driver.name,
    async stat(path) {
      await step('stat', path);
      return await driver.stat(path);
    },
    async read(path, range) {
      await step('read', path);
      return await driver.read(path, range);
    },
    async put(path, bytes, visible) {
      await step('put', path);
      await driver.put(path, bytes, between('put', path, visible));
    },
    async openWriter(path, how) {
      await step('openWriter', path);
      return watch(path, await driver.openWriter(path, how));
    },
    async list(path, page) {
      await step('list', path);
      return await driver.list(path, page);
    },
    async move(from, to, options) {
      await step('move', from);
      await driver.move(from, to, options);
    },
    async rename(from, to) {
      await step('rename', from);
      await driver.rename(from, to);
    },
    async remove(path, visible) {
      await step('remove', path);
      await driver.remove(path, between('remove', path, visible));
    },
    ...(prune === undefined
      ? {}
      : {
          async prune(path: StoragePath, upTo?: StoragePath) {
            await step('prune', path);
            await prune.call(driver, path, upTo);
          },
        }),
    ...(touch === undefined
      ? {}
      : {
          async touch(path: StoragePath) {
            await step('touch', path);
            await touch.call(driver, path);
          },
        }),
    close: () => driver.close(),
  };
}
