import {
  type StorageDriver,
  StorageError,
  type StorageErrorCode,
  type StoragePath,
  type StorageWriter,
} from '../../services/core/storage/driver.ts';

type Operation =
  | 'stat'
  | 'read'
  | 'put'
  | 'openWriter'
  | 'write'
  | 'sync'
  | 'close'
  | 'list'
  | 'move'
  | 'rename'
  | 'remove'
  | 'prune'
  | 'touch';

export interface FailingDriver extends StorageDriver {
  /** From now on operations for which `when` is true fail with this code, before they do anything. */
  failOn(code: StorageErrorCode, when: (operation: Operation, path: StoragePath) => boolean): void;
  /** Everything works again. */
  recover(): void;
}

/** A real driver whose operations fail on cue, as those of a full disk or a lost mount do. */
export function createFailingDriver(driver: StorageDriver): FailingDriver {
  let check = (_operation: Operation, _path: StoragePath): void => {};

  const watch = (path: StoragePath, writer: StorageWriter): StorageWriter => ({
    get size() {
      return writer.size;
    },
    async write(bytes) {
      check('write', path);
      await writer.write(bytes);
    },
    async sync() {
      check('sync', path);
      await writer.sync();
    },
    async close() {
      // As a system that tells only here of bytes that it could not write.
      await writer.close();
      check('close', path);
    },
  });

  // What production has, on which it takes other ways than without.
  const { readWhole, prune, touch } = driver;
  const abilities = {
    ...(readWhole && {
      async readWhole(path: StoragePath) {
        check('read', path);
        return await readWhole.call(driver, path);
      },
    }),
    ...(prune && {
      async prune(path: StoragePath, upTo?: StoragePath) {
        check('prune', path);
        await prune.call(driver, path, upTo);
      },
    }),
    ...(touch && {
      async touch(path: StoragePath) {
        check('touch', path);
        await touch.call(driver, path);
      },
    }),
  };

  return {
    name: driver.name,
    failOn(code, when) {
      check = (operation, path) => {
        if (when(operation, path)) throw new StorageError(code, path);
      };
    },
    recover() {
      check = () => {};
    },
    async stat(path) {
      check('stat', path);
      return await driver.stat(path);
    },
    async read(path, range) {
      check('read', path);
      return await driver.read(path, range);
    },
    async put(path, bytes, step) {
      check('put', path);
      await driver.put(path, bytes, step);
    },
    async openWriter(path, how) {
      check('openWriter', path);
      return watch(path, await driver.openWriter(path, how));
    },
    async list(path, page) {
      check('list', path);
      return await driver.list(path, page);
    },
    async move(from, to, options) {
      check('move', to);
      await driver.move(from, to, options);
    },
    async rename(from, to) {
      check('rename', to);
      await driver.rename(from, to);
    },
    async remove(path, step) {
      check('remove', path);
      await driver.remove(path, step);
    },
    ...abilities,
    close: () => driver.close(),
  };
}
