import type { IncomingHttpHeaders } from 'node:http';
import type { ByteRange } from './byte-ranges.ts';
import { internalHeaders } from './internal-headers.ts';

/**
 * A file that a core offers its gateway to read, instead of an answer's body: whoever asked may have it, and the
 * headers beside it are the answer's own but for length and ranges (docs/adr/0018).
 */
export interface FileOffer {
  /** Below the folder of the tree: `blobs/<algorithm>/<two of the digits>/<digits>/data`. */
  path: string;
  /** Bytes that the file has. */
  size: number;
  /** What is to be sent of it; the whole without one. */
  ranges: readonly ByteRange[];
}

/** The value of the header that offers it. */
export function formatFileOffer({ path, size, ranges }: FileOffer): string {
  const set = ranges.map(({ start, end }) => `${start}-${end}`).join(',');
  return `${path};size=${size};ranges=${set}`;
}

const blobPath = /^blobs\/[a-z0-9]{1,20}\/([0-9a-f]{2})\/\1[0-9a-f]{30,126}\/data$/;
const form = /^([^;]+);size=(\d{1,15});ranges=((?:\d{1,15}-\d{1,15}(?:,|$))*)$/;

/** Whether a path below the folder of the tree is that of a blob in its place. */
export function isBlobPath(path: string): boolean {
  return blobPath.test(path);
}

/**
 * What an answer offers.
 * @returns undefined where it offers nothing, or something that no core of ours would
 */
export function fileOfferIn(headers: IncomingHttpHeaders): FileOffer | undefined {
  const value = headers[internalHeaders.file];
  const match = typeof value === 'string' ? form.exec(value) : null;
  const [, path = '', length, set = ''] = match ?? [];
  if (!isBlobPath(path)) return undefined;
  const size = Number(length);
  const ranges = set
    .split(',')
    .filter((range) => range !== '')
    .map((range) => {
      const [start = 0, end = 0] = range.split('-').map(Number);
      return { start, end };
    });
  const fits = ranges.every(({ start, end }) => start <= end && end < size);
  return fits ? { path, size, ranges } : undefined;
}
