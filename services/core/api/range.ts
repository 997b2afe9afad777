import type { ByteRange } from '#libs/http/byte-ranges.ts';

/** More ranges than this in one request are an attack or a mistake; the whole is sent instead. */
const maxRanges = 16;

/**
 * Reads a Range header against a known size (RFC 9110 section 14.2).
 * @returns the ranges that can be sent, in the order asked for, those that overlap or touch made one;
 *   `unsatisfiable` for 416 if there is none; undefined where the header is to be ignored: absent,
 *   malformed, another unit, or too many ranges
 */
export function parseRanges(
  header: string | undefined,
  size: number,
): ByteRange[] | 'unsatisfiable' | undefined {
  const set = /^bytes=(.*)$/i.exec(header ?? '')?.[1];
  const wanted =
    set
      ?.split(',')
      .map((text) => text.trim())
      .filter((text) => text !== '') ?? [];
  if (wanted.length === 0 || wanted.length > maxRanges) return undefined;
  const ranges: ByteRange[] = [];
  for (const text of wanted) {
    const range = parseOne(text, size);
    if (range === undefined) return undefined;
    if (range !== 'unsatisfiable') merge(ranges, range);
  }
  return ranges.length === 0 ? 'unsatisfiable' : ranges;
}

function parseOne(text: string, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^(\d*)\s*-\s*(\d*)$/.exec(text);
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return 'unsatisfiable';
  return start >= size ? 'unsatisfiable' : { start, end };
}

/** Nobody gets the same byte twice by asking for it twice. */
function merge(ranges: ByteRange[], range: ByteRange): void {
  let merged = range;
  for (;;) {
    const { start, end } = merged;
    const index = ranges.findIndex((other) => other.start <= end + 1 && start <= other.end + 1);
    const [other] = index === -1 ? [] : ranges.splice(index, 1);
    if (other === undefined) break;
    merged = { start: Math.min(other.start, start), end: Math.max(other.end, end) };
  }
  ranges.push(merged);
}

/**
 * Reads the Content-Range of an upload chunk: `start-end`, as the distribution-spec has it, or with
 * the unit and total of RFC 9110 that some clients add.
 * @returns undefined where it is neither
 */
export function parseChunkRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim());
  if (match === null) return undefined;
  const range = { start: Number(match[1]), end: Number(match[2]) };
  return range.end < range.start ? undefined : range;
}
