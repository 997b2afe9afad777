const bcryptHash = /^\$2[aby]\$(?<cost>0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

/** What the names of robots begin with, and of nobody else. */
export const robotPrefix = 'robot+';

/** Longest account name, in characters. */
export const maxAccountLength = 255;

export function isBcryptHash(text: string): boolean {
  return bcryptHash.test(text);
}

/** The largest cost of a hash that is compared, 8 s of a processor: what Apache's htpasswd writes at most. */
export const largestCost = 17;

/** log2 of the work of a hash; 10 for what is no hash. */
export function costOf(hash: string): number {
  return Number(bcryptHash.exec(hash)?.groups?.cost ?? 10);
}

/** True for a name that may log in: no colon, no control characters, not too long. */
export function isAccountName(name: string): boolean {
  if (name.length === 0 || name.length > maxAccountLength) return false;
  // A line that begins with # is a comment, and blanks around a name would be cut.
  return /^[^:\p{Cc}]+$/u.test(name) && !name.startsWith('#') && name.trim() === name;
}
