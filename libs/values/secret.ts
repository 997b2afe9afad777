import { inspect } from 'node:util';
import { nearestWord } from './nearest-word.ts';

/** What stands for a secret wherever it is shown. */
export const redacted = '***';

/** A text that is used and never shown: in a log, an error, JSON, YAML or a debugger it is redacted. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for whoever uses it. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}

/** A token often stands where a name would, as in `https://TOKEN@host`. */
const tokenInUrl = /(\bhttps?:\/\/)[^/?#\s:@]+@/gi;

const passwordInUrl = /(\b[a-z][a-z0-9+.-]*:\/\/[^/?#\s:@]*:)[^/?#\s]+@/gi;

const secretNames =
  /pass(?:word|wd|phrase)?$|secret|token|signature|credential|authorization|cookie|(?:api|access|account|private|signing|license)_?key|connectionstring|dsn$|^(?:pw|pwd|key|auth|sig|code)$/i;

/** Keys that hold secrets: what is spelt nearly like one was perhaps meant to be it. */
const secretKeys = [
  ...['password', 'passphrase', 'secret', 'token', 'sentinelpassword', 'credentials'],
  ...['secretkey', 'accesskey', 'accountkey', 'apikey', 'licensekey', 'connectionstring'],
];

function isSecretName(name: string): boolean {
  return secretNames.test(name) || nearestWord(name, secretKeys) !== undefined;
}

/** A parameter of a URL's query. */
const parameter = /([?&;])([^=&;#\s]+)=([^&;#\s]+)/g;

/** A text fit to be shown: in a URL in it the password is redacted, and what is named like a secret in its query. */
export function redactUrls(text: string): string {
  if (!text.includes('://')) return text;
  return text
    .replace(passwordInUrl, `$1${redacted}@`)
    .replace(tokenInUrl, `$1${redacted}@`)
    .replace(parameter, (whole, before: string, name: string) =>
      secretNames.test(name) ? `${before}${name}=${redacted}` : whole,
    );
}

/** True for a text that was copied from where its secrets are not shown. */
export function isRedactedUrl(text: string): boolean {
  return (
    redactUrls(text) === text && /:\/\/(?:\*\*\*@|.*:\*\*\*@|.*=\*\*\*(?:[&;#\s]|$))/s.test(text)
  );
}

/**
 * A value whose keys nobody declared, fit to be shown: what is named like a secret is redacted, at any depth.
 */
export function redactByName(value: unknown): unknown {
  if (typeof value === 'string') return redactUrls(value);
  if (Array.isArray(value)) return value.map(redactByName);
  if (typeof value !== 'object' || value === null || value instanceof Secret) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      isSecretName(key) && item !== null && item !== undefined ? redacted : redactByName(item),
    ]),
  );
}
