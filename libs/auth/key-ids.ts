import { createHash, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** libtrust's: SHA-256 of the key's DER form, its first 240 bits in base32, in twelve groups of four. */
export function libtrustFingerprint(publicKey: KeyObject): string {
  const digest = hashOf(publicKey).subarray(0, 30);
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const text = bits.replace(/.{5}/g, (five) => base32.charAt(Number.parseInt(five, 2)));
  return (text.match(/.{4}/g) ?? []).join(':');
}

/** RFC 7638, in base64url. */
export async function thumbprint(publicKey: KeyObject): Promise<string> {
  return await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }));
}

/** Every name by which token servers are known to call a public key. */
export async function keyIds(publicKey: KeyObject): Promise<string[]> {
  const hash = hashOf(publicKey);
  return [
    await thumbprint(publicKey),
    libtrustFingerprint(publicKey),
    hash.toString('base64url'),
    hash.toString('hex'),
  ];
}

function hashOf(publicKey: KeyObject): Buffer {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}
