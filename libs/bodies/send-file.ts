import type { ServerResponse } from 'node:http';
import type { ReadableFile } from '#libs/files/readable-file.ts';
import { type ByteRange, formatRange, multipart } from '#libs/http/byte-ranges.ts';
import { ClientGoneError } from '#libs/http/client-gone.ts';
import { FileSender } from './file-sender.ts';

/** What is sent of a file. */
export interface SentRanges {
  /** Bytes that the file has. */
  size: number;
  /** What is sent of it, in parts where there are several (RFC 9110 section 14.6); the whole without one. */
  ranges: readonly ByteRange[];
}

/**
 * Sends head and body of an answer whose body is a file, or ranges of it. Status and the headers of the content are set,
 * but for length and ranges.
 * @param pieceSize bytes to be read at a time; twice as many are in memory
 * @throws Error if the file does not have what it should, or cannot be read; ClientGoneError
 */
async function sendFile(
  file: ReadableFile,
  { size, ranges }: SentRanges,
  response: ServerResponse,
  pieceSize: number,
): Promise<void> {
  const sender = new FileSender(file, response, pieceSize);
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

/**
 * Answers with a file, or with ranges of it: what fails breaks the connection, so that the answer never looks whole, and the file
 * is closed when this resolves.
 * @param begin sets status and headers
 */
export async function answerWithFile(
  file: ReadableFile,
  sent: SentRanges,
  response: ServerResponse,
  {
    pieceSize,
    begin,
    onError,
  }: { pieceSize: number; begin: () => void; onError: (error: unknown) => void },
): Promise<void> {
  try {
    begin();
    await sendFile(file, sent, response, pieceSize);
  } catch (error) {
    if (!(error instanceof ClientGoneError)) onError(error);
    response.destroy();
  } finally {
    // It was read to its end, or is of no more use.
    await file.close().catch(() => {});
  }
}

/** Bytes to be read. */
export function bytesOf({ size, ranges }: SentRanges): number {
  if (ranges.length === 0) return size;
  return ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0);
}
