import { delegation, giveOrder, longestReport, parseReport } from '#libs/http/held-body.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { pathInTree } from '../registry/paths.ts';
import type { DelegateWrite } from '../registry/uploads/partial-upload.ts';
import { cutShort, takenOver } from '../registry/uploads/take-chunk.ts';
import type { CoreContext } from './handler.ts';
import { seesTree, type VisibleTree } from './visible-tree.ts';

/** Milliseconds for a gateway to report that was told to stop. */
const stopsWithin = 2000;

/** Whether the gateway holds the body of a request back until it is told what to do with it (docs/adr/0021). */
export function isBodyHeld(ctx: CoreContext): boolean {
  return ctx.state.trusted && ctx.get('Expect') === delegation;
}

/** Has the gateway send the body that it holds. */
export function askForBody(ctx: CoreContext): void {
  giveOrder(ctx.res, { kind: 'send' });
}

/**
 * Has the gateway write the body that it holds.
 * @returns undefined where it cannot: it is to send it
 */
export function delegateTo(
  ctx: CoreContext,
  tree: VisibleTree | undefined,
): DelegateWrite | undefined {
  // One that was only told that it sees the same files may see them under other numbers, by which no file is named here.
  if (tree === undefined || !seesTree(ctx, tree) || ctx.get(internalHeaders.tree) !== tree.name) {
    return undefined;
  }
  return async ({ path, identity, algorithm }, signal) => {
    const whenReported = readReport(ctx, signal);
    giveOrder(ctx.res, { kind: 'write', file: { path: pathInTree(path), identity, algorithm } });
    return await whenReported;
  };
}

/** @throws RegistryError if there is no report, so that the file may be open yet */
async function readReport(ctx: CoreContext, signal: AbortSignal) {
  const { req } = ctx;
  let text = '';
  let timer: NodeJS.Timeout | undefined;
  const ended = Promise.withResolvers<void>();
  const lost = () => ended.reject(cutShort());
  const stop = () => {
    timer = setTimeout(() => ended.reject(takenOver()), stopsWithin);
    giveOrder(ctx.res, { kind: 'stop' });
  };
  const onData = (bytes: Buffer) => {
    text += bytes.toString('utf8');
    if (text.length > longestReport) lost();
  };
  req.on('data', onData).once('end', ended.resolve).once('close', lost).on('error', lost);
  signal.addEventListener('abort', stop, { once: true });
  // What happened while the file was prepared says nothing more.
  if (req.destroyed || req.socket.destroyed) lost();
  else if (signal.aborted) stop();
  try {
    await ended.promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    // The error listener stays: a stream that fails after we left must not end the process.
    req.off('data', onData).off('end', ended.resolve).off('close', lost);
  }
  const report = parseReport(text);
  if (report === undefined) throw new Error('a gateway reported nothing of what it was to write');
  return report;
}
