import { AsyncLocalStorage } from 'node:async_hooks';

/** Something that runs one step at a time, as a scheduler lets it. */
export interface Actor<T> {
  /** Resolves with what came of it. */
  readonly outcome: Promise<T>;
  readonly isDone: boolean;
  /** Where it stands: what it is about to do. */
  readonly next: string;
  /** Lets it do one step; resolves when it stands before the next one, or is done. */
  step(): Promise<void>;
}

interface Gate {
  arrive(what: string): Promise<void>;
}

const current = new AsyncLocalStorage<Gate>();

/** Where an actor stops; others pass. */
export async function stopBefore(what: string): Promise<void> {
  await current.getStore()?.arrive(what);
}

/** Begins something that stops at each {@link stopBefore}, at once. Resolves when it stands before the first. */
export async function startActor<T>(action: () => Promise<T>): Promise<Actor<T>> {
  let arrived = Promise.withResolvers<void>();
  // Several, where it does several things at once.
  const waiting: { what: string; open: () => void }[] = [];
  let isDone = false;
  const gate: Gate = {
    async arrive(what) {
      const opened = Promise.withResolvers<void>();
      waiting.push({ what, open: opened.resolve });
      arrived.resolve();
      await opened.promise;
    },
  };
  const outcome = current.run(gate, action);
  const finished = outcome.then(
    () => {},
    () => {},
  );
  void finished.then(() => {
    isDone = true;
  });
  const stands = () => Promise.race([arrived.promise, finished]);
  await stands();
  return {
    outcome,
    get isDone() {
      return isDone;
    },
    get next() {
      return waiting.map(({ what }) => what).join(' and ');
    },
    async step() {
      if (isDone) return;
      arrived = Promise.withResolvers();
      waiting.shift()?.open();
      if (waiting.length === 0) await stands();
    },
  };
}
