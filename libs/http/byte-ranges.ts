import { randomBytes } from 'node:crypto';

/** Bytes from `start` up to and with `end`. */
export interface ByteRange {
  start: number;
  end: number;
}

/** The value of Content-Range. */
export function formatRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}

/** An answer with several ranges (RFC 9110 section 14.6): what stands before each, and at the end. */
export interface Multipart {
  contentType: string;
  /** Bytes of the whole body. */
  length: number;
  parts: { head: Buffer; range: ByteRange }[];
  end: Buffer;
}

export function multipart(
  ranges: readonly ByteRange[],
  { type, size }: { type: string; size: number },
): Multipart {
  const boundary = randomBytes(16).toString('hex');
  const parts = ranges.map((range) => ({
    head: Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${formatRange(range, size)}\r\n\r\n`,
    ),
    range,
  }));
  const end = Buffer.from(`\r\n--${boundary}--\r\n`);
  const length = parts.reduce(
    (sum, { head, range }) => sum + head.length + range.end - range.start + 1,
    end.length,
  );
  return { contentType: `multipart/byteranges; boundary=${boundary}`, length, parts, end };
}
