import type { ServerResponse } from 'node:http';
import { Http2Response } from './http2-messages.ts';

/** The client left before it had its answer: nobody waits for what is being done. */
export class ClientGoneError extends Error {
  readonly code = 'client-gone';

  constructor() {
    super('the client left before it had its answer');
  }
}

/** What is to be told of a response's end, by one listener for all of it. */
interface Watch {
  gone: AbortController;
  actions: (() => void)[];
}

const watches = new WeakMap<ServerResponse, Watch>();

function watch(response: ServerResponse): Watch {
  const known = watches.get(response);
  if (known !== undefined) return known;
  const fresh: Watch = { gone: new AbortController(), actions: [] };
  watches.set(response, fresh);
  const onClose = () => {
    if (!response.writableFinished) fresh.gone.abort(new ClientGoneError());
    for (const action of fresh.actions.splice(0)) action();
  };
  if (isOver(response)) onClose();
  else {
    response.once('close', onClose);
    if (!(response instanceof Http2Response)) watchHalfClosed(response, fresh);
  }
  return fresh;
}

/** A client that ended its side of the connection has left as well, though its socket is not closed yet. */
function watchHalfClosed(response: ServerResponse, { gone, actions }: Watch): void {
  const { socket } = response;
  if (socket === null) return;
  const leave = () => gone.abort(new ClientGoneError());
  if (socket.readableEnded) leave();
  socket.once('end', leave);
  actions.push(() => socket.off('end', leave));
}

function isOver(response: ServerResponse): boolean {
  return response.closed || response.destroyed;
}

/**
 * Aborted when the answer is of no more use: with a {@link ClientGoneError} when the client leaves before it has all of
 * it, with another reason by {@link giveUpAnswer}.
 */
export function whileClientWaits(response: ServerResponse): AbortSignal {
  return watch(response).gone.signal;
}

/**
 * Has the work for an answer end although its client waits, which is told why.
 * @param reason what the answer's signal is aborted with, and what the client is to see
 */
export function giveUpAnswer(response: ServerResponse, reason: Error): void {
  watch(response).gone.abort(reason);
}

/** Calls back when the answer is over, however it ends; at once if it is over already. */
export function whenAnswered(response: ServerResponse, action: () => void): void {
  const { actions } = watch(response);
  if (isOver(response)) action();
  else actions.push(action);
}

/** Gives something back when the answer is over, however it ends. */
export function disposeWithAnswer(response: ServerResponse, held: Disposable): void {
  whenAnswered(response, () => held[Symbol.dispose]());
}
