import type { ClientRequest, IncomingMessage } from 'node:http';
import type { PieceBuffers } from '#libs/bodies/piece-buffers.ts';
import type { FileToWrite } from '#libs/files/file-to-write.ts';
import { type BodyOrder, delegation, formatReport, orderIn } from '#libs/http/held-body.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { request as openRequest } from '#libs/http/node-http.ts';
import type { Target } from '#libs/internal/instance.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { BodyFileWriter } from './files/body-file-writer.ts';
import { pipeBody, type SentBody } from './send-body.ts';

/** Milliseconds for a core to note how far an upload got whose client has left. */
const lastAnswer = 10_000;

export interface BodyEvents {
  /** Called when the upstream may see something of the request. */
  onSending(): void;
  /** Called when a core wants a file written that cannot be: nothing of the body was taken. */
  onUnwritable(error: Error): void;
}

interface HoldOptions extends BodyEvents {
  /** For the bytes, where they are sent. */
  buffers: PieceBuffers;
  /** Opens a file that a core wants written. @throws Error if that cannot be done here */
  openToWrite(file: FileToWrite, request: IncomingMessage): Promise<BodyFileWriter>;
}

/**
 * Opens the request to a core whose body is held. Unlike one of http-proxy it does not end with its client: what was written by
 * then is to be reported.
 */
export function openHeldRequest(
  { method, url, headers: all }: IncomingMessage,
  { target, agent }: Target,
): ClientRequest {
  const { 'content-length': length, ...headers } = all;
  headers['transfer-encoding'] = 'chunked';
  if (length !== undefined) headers[internalHeaders.bodyLength] = length;
  const outgoing = openRequest({ ...target, agent, method, path: url, headers });
  // Given with the others, it would have the head written before the rest of it is set.
  outgoing.setHeader('expect', delegation);
  return outgoing;
}

/**
 * A body that is held back until the core has said what to do with it: send it, or write it to a file here (docs/adr/0021).
 *
 *     held ──send──▶ being sent
 *      └────write──▶ being opened ──▶ being written ──the body ends, or stop──▶ reported
 *                         └──it cannot be──▶ the request ends, and is made again with its bytes
 *
 * `stop` may come while the file is being opened. With the end of the request to the core a writer is abandoned.
 */
export function holdBody(request: IncomingMessage, options: HoldOptions): SentBody {
  const { buffers, openToWrite, onSending, onUnwritable } = options;
  let sender: BatchWriter | undefined;
  let writer: BodyFileWriter | undefined;
  let isOrdered = false;
  /** A core that wants it back may say so while the file is being opened. */
  let isStopped = false;

  function obey(order: BodyOrder, outgoing: ClientRequest): void {
    if (order.kind === 'stop') {
      isStopped = true;
      writer?.stop();
    } else if (!isOrdered) {
      isOrdered = true;
      if (order.kind === 'send') sender = pipeBody(request, outgoing, buffers);
      else void write(order.file, outgoing);
    }
  }

  async function write(file: FileToWrite, outgoing: ClientRequest): Promise<void> {
    try {
      writer = await openToWrite(file, request);
    } catch (error) {
      onUnwritable(error as Error);
      outgoing.destroy();
      return;
    }
    const { abandon } = writer;
    outgoing.once('close', abandon);
    if (outgoing.destroyed) abandon();
    else if (isStopped) writer.stop();
    const report = await writer.run();
    if (!outgoing.destroyed) outgoing.end(formatReport(report));
  }

  // A client that leaves is seen by what becomes of its answer.
  request.on('error', () => {});

  return {
    send(outgoing) {
      onSending();
      outgoing.on('information', ({ headers }) => {
        const order = orderIn(headers);
        if (order !== undefined && !outgoing.destroyed) obey(order, outgoing);
      });
      // The body may be here already, and its end: nothing else would send them.
      outgoing.flushHeaders();
    },

    isUpstreamBehind: () =>
      !isOrdered ||
      sender?.isBehind === true ||
      (sender === undefined && writer?.isBehind !== false),

    async clientLeft(outgoing) {
      if (writer === undefined) outgoing.destroy();
      if (outgoing.closed) return;
      // A writer sees by itself that nothing more comes.
      const timer = setTimeout(() => outgoing.destroy(), lastAnswer).unref();
      await new Promise<void>((resolve) => outgoing.once('close', resolve));
      clearTimeout(timer);
    },

    // The end of the request to the core ends a writer as well.
    unsend: () => request.unpipe(),
  };
}
