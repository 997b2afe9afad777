import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describeUnreadable } from '#libs/files/read-text.ts';

/** Why clients refuse what an authority has signed, to be read behind its path; undefined where they do not. */
export function whyClientsRefuse({
  ca,
  validToDate,
}: Pick<X509Certificate, 'ca' | 'validToDate'>): string | undefined {
  if (!ca) return 'is not the certificate of an authority (CA:FALSE)';
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
    pem = await readFile(path);
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
