import type { IncomingMessage, ServerResponse } from 'node:http';
import { PieceBuffers, uploadSizes } from '#libs/bodies/piece-buffers.ts';
import { answerWithFile, bytesOf } from '#libs/bodies/send-file.ts';
import type { FileToWrite } from '#libs/files/file-to-write.ts';
import { disposeWithAnswer, whileClientWaits } from '#libs/http/client-gone.ts';
import type { FileOffer } from '#libs/http/file-offer.ts';
import type { Budget } from '#libs/limits/budget.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { takeTransferBuffers } from '#libs/limits/transfer-buffers.ts';
import type { GatewayContext } from '../authenticate.ts';
import { BodyFileWriter } from './body-file-writer.ts';
import type { SharedTree } from './shared-tree.ts';

/** An answer whose body is a file. */
export interface FileAnswer {
  /** Sends head and body; the answer is over when it resolves, whole or broken off. @param setHeaders sets those of the core's answer */
  send(response: ServerResponse, setHeaders: () => void): Promise<void>;
}

/** Files of the tree that stand for bodies: those that cores offer instead of their answers', and those that they want written. */
export interface TreeFiles extends Pick<SharedTree, 'nameFor'> {
  /**
   * Opens a file that a core offers, with the memory to send it.
   * @throws RegistryError TOOMANYREQUESTS; Error if the file is of no use, so that the core is to be asked for its bytes
   */
  open(offer: FileOffer, ctx: GatewayContext): Promise<FileAnswer>;
  /**
   * Opens a file that is to have the body of a request.
   * @throws Error if it is of no use, so that the core is to be sent the bytes
   */
  openToWrite(file: FileToWrite, request: IncomingMessage): Promise<BodyFileWriter>;
}

export function createTreeFiles(tree: SharedTree, downloads: Budget): TreeFiles {
  const buffers = new PieceBuffers(uploadSizes);

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
        bytesOf(offer),
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
          const onError = (error: unknown) =>
            ctx.state.log.error({ err: error, file: offer.path }, 'a blob cannot be read');
          const how = { pieceSize, begin: setHeaders, onError };
          await answerWithFile(handle, offer, response, how);
        },
      };
    },
  };
}
