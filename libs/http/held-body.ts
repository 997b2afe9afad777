import type { IncomingHttpHeaders } from 'node:http';
import type { FileToWrite, WrittenFile } from '../files/file-to-write.ts';
import { type DigestAlgorithm, isDigest } from '../oci/digest.ts';
import { internalHeaders } from './internal-headers.ts';
import { ServerResponse } from './node-http.ts';

/**
 * How a gateway and a core agree on who writes the body of an upload (docs/adr/0021). The gateway holds the body back and
 * expects an order; where it is told to write the bytes itself, its report is the body of the request.
 */

/** The value of `Expect` (RFC 9110 section 10.1.1) by which a gateway asks what to do with a body. */
export const delegation = 'portcullis-delegation';

/** Status of the informational responses that carry orders: of those that nobody else uses. */
export const orderStatus = 110;

/** Node's, which its types do not know yet, nor every version that we run on. */
interface Informing {
  writeInformation?(status: number, headers: Readonly<Record<string, string>>): void;
}

/** Whether orders can be given here. */
export function canGiveOrders(): boolean {
  return (ServerResponse.prototype as Informing).writeInformation !== undefined;
}

/** Tells a gateway what to do with the body that it holds, unless the answer has begun. */
export function giveOrder(response: ServerResponse, order: BodyOrder): void {
  if (response.headersSent || response.destroyed) return;
  const headers = { [internalHeaders.order]: formatOrder(order) };
  (response as Informing).writeInformation?.(orderStatus, headers);
}

/** What a core says to a gateway that holds a body. */
export type BodyOrder =
  | { kind: 'send' }
  /** `path` is below the folder of the tree: `repositories/<name>/_uploads/<id>/open.<number>`. */
  | { kind: 'write'; file: FileToWrite }
  /** To one that writes: report what is there. */
  | { kind: 'stop' };

/** The value of the header of an order. */
export function formatOrder(order: BodyOrder): string {
  if (order.kind !== 'write') return order.kind;
  const { path, identity, algorithm } = order.file;
  return `write;${path};${identity};${algorithm}`;
}

const write =
  /^write;(repositories(?:\/[\w.-]+)+\/_uploads\/[0-9a-f-]{36}\/open\.\d{1,9});(\d{1,20}:\d{1,20});(sha256|sha512)$/;

/** @returns undefined where there is no order, or none that a core of ours would give */
export function orderIn(headers: IncomingHttpHeaders): BodyOrder | undefined {
  const value = headers[internalHeaders.order];
  if (value === 'send' || value === 'stop') return { kind: value };
  const match = typeof value === 'string' ? write.exec(value) : null;
  if (match === null) return undefined;
  const [, path = '', identity = '', algorithm] = match;
  if (path.split('/').some((part) => part === '.' || part === '..')) return undefined;
  return { kind: 'write', file: { path, identity, algorithm: algorithm as DigestAlgorithm } };
}

/** Bytes of a report, by which a gateway tells what became of the file: one line. */
export const longestReport = 4096;

export function formatReport(report: WrittenFile): string {
  return `${JSON.stringify(report)}\n`;
}

/** @returns undefined for text that is no whole report */
export function parseReport(text: string): WrittenFile | undefined {
  if (!text.endsWith('\n')) return undefined;
  try {
    const report = JSON.parse(text) as Record<string, unknown>;
    const { kind, size, digest, isWhole, code, message } = report;
    if (kind === 'failed' && typeof code === 'string' && typeof message === 'string') {
      return { kind, code, message };
    }
    const isClosed =
      kind === 'closed' && Number.isSafeInteger(size) && typeof isWhole === 'boolean';
    if (!isClosed || typeof digest !== 'string' || !isDigest(digest)) return undefined;
    return { kind, size: size as number, digest, isWhole };
  } catch {
    return undefined;
  }
}
