import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatRange, multipart } from '#libs/http/byte-ranges.ts';
import { ClientGoneError, disposeWithAnswer, whileClientWaits } from '#libs/http/client-gone.ts';
import type { DelegatedFile } from '#libs/http/delegated-body.ts';
import type { FileOffer } from '#libs/http/file-offer.ts';
import type { Budget } from '#libs/limits/budget.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { takeTransferBuffers } from '#libs/limits/transfer-buffers.ts';
import type { GatewayContext } from '../authenticate.ts';
import { fileSizes, PieceBuffers } from '../piece-buffers.ts';
import { BodyFileWriter } from './body-file-writer.ts';
import { FileSender } from './file-sender.ts';
import type { SharedTree } from './shared-tree.ts';

/** An answer whose body is a file. */
export interface FileAnswer {
  /** Sends head and body; the answer is over when it resolves, whole or broken off. @param setHeaders sets those of the core's answer */
  send(response: ServerResponse, setHeaders: () => void): Promise<void>;
}

/** Files of the tree that stand for bodies: those that cores offer instead of their answers', and those that they want written. */
export interface OfferedFiles extends Pick<SharedTree, 'nameFor'> {
  /**
   * Opens a file that a core offers, with the memory to send it.
   * @throws RegistryError TOOMANYREQUESTS; Error if the file is of no use, so that the core is to be asked for its bytes
   */
  open(offer: FileOffer, ctx: GatewayContext): Promise<FileAnswer>;
  /**
   * Opens a file that is to have the body of a request.
   * @throws Error if it is of no use, so that the core is to be sent the bytes
   */
  openToWrite(file: DelegatedFile, request: IncomingMessage): Promise<BodyFileWriter>;
}

export function createOfferedFiles(tree: SharedTree, downloads: Budget): OfferedFiles {
  const buffers = new PieceBuffers(fileSizes);

  return {
    nameFor: tree.nameFor,

    async openToWrite(file, request) {
      const { algorithm } = file;
      return new BodyFileWriter(request, await tree.openToWrite(file), { algorithm, buffers });
    },

    async open(offer, ctx) {
      const { lease, pieceSize } = await takeTransferBuffers(
        downloads,
        partiesOf(ctx.state.client, ctx.state.access.subject),
        lengthOf(offer),
        { signal: whileClientWaits(ctx.res) },
      );
      disposeWithAnswer(ctx.res, lease);
      const handle = await tree.open(offer).catch((error: unknown) => {
        // The core takes memory of its own to send it.
        lease[Symbol.dispose]();
        throw error;
      });
      return {
        async send(response, setHeaders) {
          try {
            setHeaders();
            await sendFile(offer, new FileSender(handle, response, pieceSize), response);
          } catch (error) {
            if (!(error instanceof ClientGoneError)) {
              ctx.state.log.error({ err: error, file: offer.path }, 'a blob cannot be read');
            }
            // Never something that looks whole.
            response.destroy();
          } finally {
            // It was read to its end, or is of no more use.
            await handle.close().catch(() => {});
          }
        },
      };
    },
  };
}

async function sendFile(
  { size, ranges }: FileOffer,
  sender: FileSender,
  response: ServerResponse,
): Promise<void> {
  const [only = { start: 0, end: size - 1 }, ...others] = ranges;
  if (others.length === 0) {
    response.setHeader('Content-Length', only.end - only.start + 1);
    if (ranges.length > 0) response.setHeader('Content-Range', formatRange(only, size));
    await sender.sendRange(only);
  } else {
    const type = String(response.getHeader('Content-Type'));
    const { contentType, length, parts, end } = multipart(ranges, { type, size });
    response.setHeader('Content-Type', contentType);
    response.setHeader('Content-Length', length);
    for (const { head, range } of parts) {
      await sender.sendBytes(head);
      await sender.sendRange(range);
    }
    await sender.sendBytes(end);
  }
  await sender.finish();
  response.end();
}

/** Bytes to be read. */
function lengthOf({ size, ranges }: FileOffer): number {
  if (ranges.length === 0) return size;
  return ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0);
}
