import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Instance } from '#libs/internal/instance.ts';

/**
 * Gives up what an instance keeps waiting that stopped answering altogether: at once where it has said
 * nothing yet, else when nothing comes for `idle` milliseconds.
 */
export function watchInstance({ down }: Instance, outgoing: ClientRequest, idle: number): void {
  let answering: IncomingMessage | undefined;
  let timer: NodeJS.Timeout | undefined;
  const giveUp = () => outgoing.destroy(new Error('it stopped answering'));
  const onDown = () => {
    if (answering === undefined) giveUp();
    else timer = setTimeout(giveUp, idle);
  };
  outgoing.once('response', (incoming) => {
    answering = incoming;
    incoming.on('data', () => timer?.refresh());
  });
  down.signal.addEventListener('abort', onDown, { once: true });
  if (down.signal.aborted) onDown();
  outgoing.once('close', () => {
    clearTimeout(timer);
    down.signal.removeEventListener('abort', onDown);
  });
}
