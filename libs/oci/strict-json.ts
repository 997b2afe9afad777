/**
 * JSON.parse that refuses duplicate keys: parsers disagree on which of two equal keys counts, and a
 * manifest must mean the same to everyone. The grammar itself is checked by JSON.parse; the scan
 * after it only follows the nesting and the keys.
 * @param options.first is shown what was read before it is scanned, which costs more; may throw
 * @throws SyntaxError on bad JSON, a duplicate key, or nesting deeper than `maxDepth`
 */
export function parseStrictJson(
  text: string,
  { maxDepth, first }: { maxDepth: number; first?: (value: unknown) => void },
): unknown {
  const value: unknown = JSON.parse(text);
  first?.(value);
  assertUniqueKeys(text, maxDepth);
  return value;
}

/**
 * How many values a JSON text has at most, told without making them: one for each bracket and comma outside of strings.
 * @param most after which nobody counts on
 */
export function countValues(text: string, most: number): number {
  let values = 1;
  for (
    let at = nextToken(text, 0);
    at < text.length && values <= most;
    at = nextToken(text, at + 1)
  ) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at);
      if (at === -1) break;
    } else if (code === openObject || code === openArray || code === comma) values += 1;
  }
  return values;
}

/** Codes of the characters that matter; in valid JSON all others can be passed over. */
const [quote, comma, colon] = [34, 44, 58];
const [openObject, openArray, closeObject, closeArray] = [123, 91, 125, 93];

function assertUniqueKeys(text: string, maxDepth: number): void {
  /** One entry for each open bracket: the keys seen in an object, undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = nextToken(text, 0); at < text.length; at = nextToken(text, at + 1)) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const start = at;
      at = endOfString(text, start);
      const keys = open.at(-1);
      if (keys === undefined || !isKey(text, at + 1)) continue;
      const key = keyOf(text, start, at);
      if (keys.has(key)) throw new SyntaxError(`duplicate key ${JSON.stringify(key)}`);
      keys.add(key);
    } else if (code === openObject || code === openArray) {
      open.push(code === openObject ? new Set() : undefined);
      if (open.length > maxDepth) throw new SyntaxError(`nested deeper than ${maxDepth} levels`);
    } else if (code === closeObject || code === closeArray) {
      open.pop();
    }
  }
}

/** Characters after which the rest of a number or of blanks is left to a regular expression, which is faster on long ones. */
const long = 16;

/** The next character from a place on that matters; the text's length if there is none. */
function nextToken(text: string, from: number): number {
  const end = Math.min(from + long, text.length);
  for (let at = from; at < end; at += 1) {
    const code = text.charCodeAt(at);
    const matters =
      code === quote ||
      code === comma ||
      code === openObject ||
      code === closeObject ||
      code === openArray ||
      code === closeArray;
    if (matters) return at;
  }
  return indexOf(/[",{}[\]]/g, text, end);
}

/** The first match from a place on; the text's length if there is none. @param pattern global */
function indexOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

/** The closing quote: the first that an even number of backslashes stands before; -1 if there is none. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    if (at === -1) return -1;
    let before = at;
    while (text.charCodeAt(before - 1) === 92) before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
}

function keyOf(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/** In valid JSON a string is a key exactly when a colon follows it. */
function isKey(text: string, after: number): boolean {
  if (text.charCodeAt(after) === colon) return true;
  return text.charCodeAt(indexOf(/[^ \t\r\n]/g, text, after)) === colon;
}
