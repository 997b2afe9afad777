import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/**
 * Places in a list, as they are shown to a client that may not see what stands there. Who cannot open one
 * learns nothing from it but its length.
 */
export interface Cursors {
  seal(place: string): string;
  /** @returns undefined for what nobody with our key has sealed */
  open(text: string): string | undefined;
}

const algorithm = 'aes-256-gcm';
const [ivLength, tagLength] = [12, 16];
/** Characters; places are padded to this, so that the length tells nothing either. */
const padded = 256;

/** @param secret what all cores share; without it a place is good for this process alone */
export function createCursors(secret: string | undefined): Cursors {
  const key =
    secret === undefined
      ? randomBytes(32)
      : Buffer.from(hkdfSync('sha256', secret, '', 'portcullis cursor', 32));
  return {
    seal(place) {
      const iv = randomBytes(ivLength);
      const cipher = createCipheriv(algorithm, key, iv);
      const body = Buffer.concat([cipher.update(place.padEnd(padded), 'utf8'), cipher.final()]);
      return Buffer.concat([iv, body, cipher.getAuthTag()]).toString('base64url');
    },
    open(text) {
      const bytes = Buffer.from(text, 'base64url');
      if (bytes.length < ivLength + tagLength) return undefined;
      const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, ivLength));
      decipher.setAuthTag(bytes.subarray(-tagLength));
      try {
        const body = decipher.update(bytes.subarray(ivLength, -tagLength));
        return Buffer.concat([body, decipher.final()]).toString('utf8').trimEnd();
      } catch {
        return undefined;
      }
    },
  };
}
