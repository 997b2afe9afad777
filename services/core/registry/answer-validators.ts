import { type FileState, isSettled } from '#libs/files/file-state.ts';
import type { SawFile, StoragePath } from '../storage/driver.ts';

/**
 * The files that an answer is made of: as long as none of them changes, the answer is true (docs/adr/0020). Collected while
 * it is made.
 */
export class AnswerValidators {
  readonly #files = new Map<StoragePath, FileState>();
  #decide = true;

  /** To be told of each file that is looked at for the answer. */
  readonly saw: SawFile = (path, state, at) => {
    // By the clock of then: what is settled later may have changed since it was read.
    if (state === undefined || !isSettled(state, at)) this.#decide = false;
    else this.#files.set(path, state);
  };

  /** Something else than these files decides the answer as well. */
  discard(): void {
    this.#decide = false;
  }

  /**
   * The files that decide the answer.
   * @returns undefined where something else does as well, or where one of them may change without showing it
   */
  all(): { path: StoragePath; state: FileState }[] | undefined {
    const files = [...this.#files].map(([path, state]) => ({ path, state }));
    const isKnown = this.#decide && files.length > 0;
    return isKnown ? files : undefined;
  }
}
