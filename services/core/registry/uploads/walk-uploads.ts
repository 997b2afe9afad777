import { isRepositoryName, type RepositoryName } from '#libs/oci/reference.ts';
import { isUploadId, type UploadId } from '#libs/oci/upload-id.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { readAll } from '../small-files.ts';

export interface FoundUpload {
  repository: RepositoryName;
  id: UploadId;
  /** When it was opened; for one that does not tell, when its folder last changed. */
  openedAt: Date;
}

/** All uploads in storage, whoever opened them, also below folders that are no repository yet. */
export async function* walkUploads(
  driver: StorageDriver,
  folder = '',
): AsyncGenerator<FoundUpload> {
  for (const name of await driver.list(paths.namespace(folder))) {
    if (name === '_uploads' && isRepositoryName(folder)) yield* uploadsOf(driver, folder);
    if (!name.startsWith('_')) {
      yield* walkUploads(driver, folder === '' ? name : `${folder}/${name}`);
    }
  }
}

async function* uploadsOf(
  driver: StorageDriver,
  repository: RepositoryName,
): AsyncGenerator<FoundUpload> {
  for (const id of await driver.list(paths.uploads(repository))) {
    if (!isUploadId(id)) continue;
    // One that cannot be read is looked at the next time, and keeps no other one.
    const openedAt = await openedAtOf(driver, repository, id).catch(() => undefined);
    if (openedAt !== undefined) yield { repository, id, openedAt };
  }
}

async function openedAtOf(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<Date | undefined> {
  const text = await ifPresent(readAll(driver, paths.uploadStartedAt(repository, id)));
  const told = new Date(text?.toString('utf8').trim() ?? '');
  if (!Number.isNaN(told.getTime())) return told;
  return (await ifPresent(driver.stat(paths.upload(repository, id))))?.modified;
}
