import { isPathPart } from '#libs/oci/reference.ts';

/** What a request is about, as patterns see it. */
export interface Subject {
  /** Empty for an anonymous caller. */
  account: string;
}

/** Tells whether a value fits; placeholders stand for what the request says. */
export type Pattern = (value: string, subject: Subject) => boolean;

const placeholder = /\$\{([^}]*)\}/g;

/**
 * Compiles one field of a rule, with docker_auth's meanings: `/…/` is a regular expression that may
 * match anywhere; else `*` and `?` stay within a path part, `[…]` is a set, and `**` (ours) crosses
 * parts. `${account}` stands for the caller's name, letter by letter, and for nothing that is not a
 * legal path part: no account name can widen a rule.
 * @throws Error naming what cannot be compiled
 */
export function compilePattern(text: string): Pattern {
  const expression = /^\/(.*)\/$/s.exec(text)?.[1];
  const source = expression ?? `^${globToSource(text)}$`;
  const names = [...text.matchAll(placeholder)].map((match) => match[1]);
  const unknown = names.find((name) => name !== 'account');
  if (unknown !== undefined) throw new Error(`"${text}": there is no placeholder \${${unknown}}`);
  if (/\[[^\]]*\$\{/.test(source)) {
    throw new Error(`"${text}": a placeholder cannot stand inside [ ]`);
  }
  const compile = (account: string) => {
    const literal = source.replace(placeholder, () => RegExp.escape(account));
    return new RegExp(literal, 's');
  };
  let fixed: RegExp;
  try {
    fixed = compile('account');
  } catch (error) {
    throw new Error(`"${text}": ${(error as Error).message}`, { cause: error });
  }
  if (names.length === 0) return (value) => fixed.test(value);
  return (value, { account }) => isPathPart(account) && compile(account).test(value);
}

/** True for a regular expression that may match anywhere in a name, which is rarely meant. */
export function isUnanchored(text: string): boolean {
  return /^\/.*\/$/s.test(text) && !(text.startsWith('/^') && text.endsWith('$/'));
}

/** Placeholders pass through as they are, to be filled in at each look. */
function globToSource(glob: string): string {
  const tokens = /\$\{[^}]*\}|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|[\s\S]/g;
  return glob.replace(tokens, (token) => {
    if (token.startsWith('${')) return token;
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    if (token === '?') return '[^/]';
    if (token.length > 2 && token.startsWith('[')) return token;
    return RegExp.escape(token.startsWith('\\') ? token.slice(1) : token);
  });
}
