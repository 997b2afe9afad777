import type { StorageDriver, StoragePath } from '../../storage/driver.ts';
import { allNotes, type Note, placeOfLink, restoreFromNote, subjectOf } from '../dangling-links.ts';
import { type CheckContext, hasBytes, isThere } from './check-context.ts';
import { readLinkState } from './read-link-state.ts';

/** Links of which only notes are left, and that lead somewhere again: as the bytes of a backup that came later. */
export async function checkNotes(context: CheckContext): Promise<void> {
  const { driver, report, named } = context;
  for (const { link } of await latestNotes(driver)) {
    const { kind, repository, target } = link;
    named.add(target);
    const place = placeOfLink(link);
    const isBack = async () =>
      (await readLinkState(driver, place)) === 'absent' &&
      (kind === 'tag'
        ? await isThere(context, { kind: 'manifest', repository, digest: target })
        : await hasBytes(context, target));
    if (!(await isBack())) continue;
    report({
      kind: 'misplaced-link',
      repository,
      subject: subjectOf(link),
      message: `the ${kind} was taken away as dangling, but what it names is stored`,
      isStillSo: isBack,
      repair: (step) => restoreFromNote(driver, link, step),
    });
  }
}

/** Of each link the note that was made last: it was of the link as it stood then. */
async function latestNotes(driver: StorageDriver): Promise<Note[]> {
  const latest = new Map<StoragePath, Note>();
  for await (const note of allNotes(driver)) {
    const place = placeOfLink(note.link);
    const other = latest.get(place);
    if (other === undefined || other.since <= note.since) latest.set(place, note);
  }
  return [...latest.values()];
}
