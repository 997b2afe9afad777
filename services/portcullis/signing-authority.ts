import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { describeUnreadable, readRegularFile } from '#libs/files/read-text.ts';

/** Why clients refuse what an authority has signed, to be read behind its path; undefined where they do not. */
export function whyClientsRefuse(
  certificate: Pick<X509Certificate, 'ca' | 'subject' | 'issuer' | 'validToDate'>,
): string | undefined {
  const { ca, subject, issuer, validToDate } = certificate;
  // An old one, of version 1, does not say that it is one, and is believed where it has signed itself.
  if (!ca && subject !== issuer) return 'is not the certificate of an authority (CA:FALSE)';
  if (validToDate.getTime() > Date.now()) return undefined;
  return `was good until ${validToDate.toISOString().slice(0, 10)}`;
}

const putBack = 'with which a new certificate would be signed; put it back for that';

/** Why the key of a CA cannot sign, to be read behind its path; undefined where it can. */
export async function whyNoneCanBeSigned(
  path: string,
  ca: X509Certificate | undefined,
): Promise<string | undefined> {
  if (ca === undefined) return undefined;
  let pem: Buffer;
  try {
    pem = await readRegularFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT'
      ? `is not there, ${putBack}`
      : `cannot be read: ${describeUnreadable(error)}`;
  }
  try {
    return ca.checkPrivateKey(createPrivateKey(pem))
      ? undefined
      : `is not the key of ca.crt, ${putBack}`;
  } catch {
    if (!/ENCRYPTED/.test(`${pem}`)) return `cannot be read as a key, ${putBack}`;
    // openssl asks for it.
    return process.stdin.isTTY
      ? undefined
      : 'has a passphrase; run portcullis certs on a terminal, where it is asked for';
  }
}
