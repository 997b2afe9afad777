import fc from 'fast-check';

/** Values that no field of a manifest expects, or that some parsers trip over. */
const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', [], {}, 0, -1, 0.5, 2 ** 53, 1e300, -1e-300, '\ud800'),
  fc.constantFrom<unknown>('__proto__', 'constructor', 'sha256:', `sha256:${'0'.repeat(64)}`),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.jsonValue({ maxDepth: 3 }),
);

const oddKey = fc.oneof(
  fc.constantFrom('__proto__', 'toString', '', 'Layers', 'layers', 'manifests', 'subject', 'data'),
  fc.string({ maxLength: 5 }),
);

/** What JSON.stringify would not write. */
const textMutation = fc.oneof(
  fc.constant((text: string) => `\ufeff${text}`),
  fc.constant((text: string) => text.replace(/"size":\d+/, '"size":1e999')),
  fc.constant((text: string) => text.replace(/"size":\d+/, `"size":${'9'.repeat(400)}`)),
  fc.constant((text: string) => text.replace(/"size":/, '"\\u0073ize":')),
  fc.integer({ min: 1, max: 5000 }).map((depth) => (text: string) => {
    return text.replace('{', `{"deep":${'['.repeat(depth)}${']'.repeat(depth)},`);
  }),
  fc.integer({ min: 1, max: 5000 }).map((depth) => (text: string) => '{"a":'.repeat(depth) + text),
  fc.nat(20).map((nth) => (text: string) => {
    // A key and its value once more, in front of an object that has it.
    const pair = [...text.matchAll(/"[^"]*":(?:"[^"]*"|\d+)/g)][nth]?.[0];
    return pair === undefined ? text : text.replace(pair, `${pair},${pair}`);
  }),
);

interface Edit {
  place: number;
  kind: 'replace' | 'remove' | 'add' | 'swap';
  key: string;
  value: unknown;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  place: fc.nat(1000),
  kind: fc.constantFrom('replace', 'remove', 'add', 'swap'),
  key: oddKey,
  value: oddValue,
});

type Container = Record<string, unknown>;

/** Every object and list of a document, the document first. */
function containersIn(value: unknown): Container[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value as Container, ...Object.values(value).flatMap(containersIn)];
}

function apply(document: Container, { place, kind, key, value }: Edit): void {
  const places = containersIn(document).flatMap((container) =>
    Object.keys(container).map((name) => ({ container, name })),
  );
  const chosen = places[place % Math.max(1, places.length)];
  if (chosen === undefined) return;
  const { container, name } = chosen;
  if (kind === 'remove') delete container[name];
  else if (kind === 'replace') container[name] = structuredClone(value);
  else if (kind === 'swap') {
    const other = places[(place * 7 + 1) % places.length] as (typeof places)[number];
    const mine = structuredClone(container[name]);
    container[name] = structuredClone(other.container[other.name]);
    other.container[other.name] = mine;
  } else {
    // As JSON.parse would, an own key even where it is called __proto__.
    Object.defineProperty(container, key, {
      value: structuredClone(value),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
}

/** Bytes that are nearly one of these documents. */
export function mutationsOf(documents: readonly object[]): fc.Arbitrary<Buffer> {
  return fc
    .record({
      document: fc.constantFrom(...documents),
      edits: fc.array(edit, { maxLength: 4 }),
      texts: fc.array(textMutation, { maxLength: 1 }),
      bytes: fc.array(fc.tuple(fc.nat(5000), fc.nat(255)), { maxLength: 2 }),
      keep: fc.oneof(
        { weight: 9, arbitrary: fc.constant(1) },
        { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
      ),
    })
    .map(({ document, edits, texts, bytes, keep }) => {
      const copy = structuredClone(document) as Container;
      for (const one of edits) apply(copy, one);
      const text = texts.reduce((so, change) => change(so), JSON.stringify(copy));
      const buffer = Buffer.from(text);
      for (const [at, byte] of bytes) if (buffer.length > 0) buffer[at % buffer.length] = byte;
      return buffer.subarray(0, Math.ceil(buffer.length * keep));
    });
}
