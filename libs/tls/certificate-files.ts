import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { readBytes, readText } from '#libs/files/read-text.ts';

/** A certificate, with those of its issuers behind it, and its key; files in PEM. */
export interface CertificateFiles {
  certificate: string;
  key: string;
}

/** What OpenSSL's codes mean to whoever made the files. */
const remedies: Readonly<Record<string, string>> = {
  ERR_SSL_EE_KEY_TOO_SMALL:
    'the key is shorter than TLS takes today; make a new one of 2048 bits or more (openssl genrsa 2048) and a certificate for it',
  ERR_SSL_CA_KEY_TOO_SMALL:
    'the key of an authority in the chain is shorter than TLS takes today; make a new one of 2048 bits or more',
  ERR_SSL_CA_MD_TOO_WEAK:
    'the chain is signed with a digest that TLS does not take any more; sign it with SHA-256',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'the key is not that of the certificate',
  ERR_OSSL_BAD_DECRYPT:
    'the key has a passphrase; write it without one (openssl pkey -in KEY -out NEW)',
  ERR_OSSL_PEM_NO_START_LINE:
    'one of them is not PEM, or has no certificate in it (openssl x509 -inform der makes PEM of DER)',
  ERR_SSL_NO_CIPHER_MATCH:
    'http.tls.ciphersuites names none that there is; leave it out, or use the names of OpenSSL or of Go',
  ERR_OSSL_UNSUPPORTED: 'the key file has no private key in PEM form',
};

/**
 * Reads a certificate and its key, which are fit for each other and for TLS.
 * @param setting the section that names them, for the error
 * @param options what is to be spoken with it
 * @throws Error with one clear sentence naming the files
 */
export async function readCertificate(
  files: CertificateFiles,
  setting: string,
  options: Pick<SecureContextOptions, 'minVersion' | 'ciphers'> = {},
): Promise<{ cert: Buffer; key: Buffer }> {
  const cert = await readBytes(files.certificate, `${setting}.certificate`);
  const key = await readBytes(files.key, `${setting}.key`);
  if (isPrivateKey(cert) && !isPrivateKey(key)) {
    throw new Error(
      `${setting}: ${files.certificate} holds a private key, and ${files.key} none; are certificate and key swapped?`,
    );
  }
  const fail = (why: string, cause?: unknown) => {
    throw new Error(`${setting}: ${files.certificate} and ${files.key} cannot be used: ${why}`, {
      cause,
    });
  };
  try {
    createSecureContext({ ...options, cert, key });
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    fail(remedies[code] ?? message, error);
  }
  // OpenSSL takes a certificate of one kind and a key of another one for halves of two pairs.
  const isItsKey = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  if (!isItsKey) fail('the key is not that of the certificate');
  return { cert, key };
}

const isPrivateKey = (pem: Buffer) => /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(`${pem}`);

function assertReadable(pem: string, number: number): void {
  try {
    new X509Certificate(pem);
  } catch (cause) {
    throw new Error(`certificate ${number} in it is damaged`, { cause });
  }
}

/** Under the names that OpenSSL takes; one without an end is taken as well, so that it is told. */
const certificatePattern =
  /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*(?:-----END \1-----)?/g;

/**
 * Reads the certificates of authorities, PEM.
 * @param setting that names them, for the error
 * @throws Error with one clear sentence naming the file that is none
 */
export async function readAuthorities(
  paths: readonly string[],
  setting: string,
): Promise<string[]> {
  return await Promise.all(
    paths.map(async (path) => {
      const text = await readText(path, setting);
      try {
        const found = text.match(certificatePattern);
        if (found === null) throw new Error('it holds no certificate in PEM form');
        // A context takes a damaged one for none, and nothing behind it.
        for (const [index, pem] of found.entries()) assertReadable(pem, index + 1);
      } catch (cause) {
        throw new Error(`${setting}: ${path} cannot be used: ${(cause as Error).message}`, {
          cause,
        });
      }
      return text;
    }),
  );
}
