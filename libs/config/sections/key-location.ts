import { resolve } from 'node:path';
import { text } from '../../values/schema.ts';

/** Where keys are, or their issuer: a file or a URL, without a user and a password, which nothing would send and the log would have. */
export const keyLocation = text.refine((value) => !/^https?:\/\/[^/?#]*@/i.test(value), {
  message: 'has a user or a password in its URL, which is not sent; leave it out',
});

/** The same with an absolute path where it is a file. */
export function resolveKeySet(location: string | undefined): string | undefined {
  return location === undefined || /^https?:/i.test(location) ? location : resolve(location);
}
