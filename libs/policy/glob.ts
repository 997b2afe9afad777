import { RE2JS } from 're2js';

/** One piece of a glob. */
type Token =
  | { kind: 'text'; text: string }
  /** `*`: any characters but slashes. */
  | { kind: 'part' }
  /** `**`: any characters. */
  | { kind: 'any' }
  /** `?`: one character but a slash. */
  | { kind: 'one' }
  /** `[…]`: one character of a set. */
  | { kind: 'set'; has(character: string): boolean }
  /** `${…}`: one of the values that it has then. */
  | { kind: 'placeholder'; name: string };

/** A text that fits, or does not, with these values for its placeholders. */
export type Glob = (text: string, values: ReadonlyMap<string, readonly string[]>) => boolean;

const pieces = /\$\{[^}]*\}|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|[\s\S]/g;

/**
 * Compiles a glob: `*` and `?` stay within a path part, `[…]` is a set as RE2 has it, `**` crosses parts. A look at a
 * text takes time by its length and the glob's, whatever both are, and none to compile anything for values that are new.
 * @throws Error for a set that is none
 */
export function compileGlob(glob: string): Glob {
  const tokens = [...glob.matchAll(pieces)].map(([piece]) => tokenOf(piece));
  return (text, values) => {
    let reached = new Uint8Array(text.length + 1);
    reached[0] = 1;
    for (const token of tokens) {
      const next = new Uint8Array(text.length + 1);
      reach(token, text, values, { reached, next });
      reached = next;
    }
    return reached[text.length] === 1;
  };
}

function tokenOf(piece: string): Token {
  if (piece.startsWith('${')) return { kind: 'placeholder', name: piece.slice(2, -1) };
  if (piece === '**') return { kind: 'any' };
  if (piece === '*') return { kind: 'part' };
  if (piece === '?') return { kind: 'one' };
  if (piece.length > 2 && piece.startsWith('[')) {
    const set = RE2JS.compile(`^${piece}$`, RE2JS.DOTALL);
    return { kind: 'set', has: (character) => set.matches(character) };
  }
  return {
    kind: 'text',
    text: piece.startsWith('\\') && piece.length > 1 ? piece.slice(1) : piece,
  };
}

/** Finds out where in a text one may be behind a token, from the places before it. */
function reach(
  token: Token,
  text: string,
  values: ReadonlyMap<string, readonly string[]>,
  { reached, next }: { reached: Uint8Array; next: Uint8Array },
): void {
  const go = (place: number) => {
    next[place] = 1;
  };
  for (let place = 0; place <= text.length; place += 1) {
    const stretches = token.kind === 'any' || (token.kind === 'part' && text[place - 1] !== '/');
    if (stretches && place > 0 && next[place - 1] === 1) go(place);
    if (reached[place] !== 1) continue;
    switch (token.kind) {
      case 'any':
      case 'part':
        go(place);
        break;
      case 'text':
        if (text.startsWith(token.text, place)) go(place + token.text.length);
        break;
      case 'placeholder':
        for (const value of values.get(token.name) ?? []) {
          if (text.startsWith(value, place)) go(place + value.length);
        }
        break;
      case 'one':
      case 'set': {
        const character = characterAt(text, place);
        if (character !== '' && fits(token, character)) go(place + character.length);
      }
    }
  }
}

function fits(token: Token & { kind: 'one' | 'set' }, character: string): boolean {
  return token.kind === 'one' ? character !== '/' : token.has(character);
}

function characterAt(text: string, place: number): string {
  const code = text.codePointAt(place);
  return code === undefined ? '' : String.fromCodePoint(code);
}
