/**
 * JSON.parse that refuses duplicate keys: parsers disagree on which of two equal keys counts, and a
 * manifest must mean the same to everyone. The grammar itself is checked by JSON.parse; the scan
 * after it only follows the nesting and the keys.
 * @throws SyntaxError on bad JSON, a duplicate key, or nesting deeper than `maxDepth`
 */
export function parseStrictJson(text: string, { maxDepth }: { maxDepth: number }): unknown {
  const value: unknown = JSON.parse(text);
  assertUniqueKeys(text, maxDepth);
  return value;
}

function assertUniqueKeys(text: string, maxDepth: number): void {
  /** One entry for each open bracket: the keys seen in an object, undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/gs;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const found = match[0];
    if (found === '{' || found === '[') {
      open.push(found === '{' ? new Set() : undefined);
      if (open.length > maxDepth) throw new SyntaxError(`nested deeper than ${maxDepth} levels`);
    } else if (found === '}' || found === ']') {
      open.pop();
    } else {
      const keys = open.at(-1);
      if (keys === undefined || !isKey(text, token.lastIndex)) continue;
      const key = JSON.parse(found) as string;
      if (keys.has(key)) throw new SyntaxError(`duplicate key ${JSON.stringify(key)}`);
      keys.add(key);
    }
  }
}

/** In valid JSON a string is a key exactly when a colon follows it. */
function isKey(text: string, after: number): boolean {
  let index = after;
  while (index < text.length && ' \t\r\n'.includes(text[index] as string)) index += 1;
  return text[index] === ':';
}
