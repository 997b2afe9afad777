import { resolve } from 'node:path';
import { z } from 'zod';
import { type InternalAddress, parseInternalAddress, socketIn } from '#libs/internal/address.ts';
import type { InternalListener, InternalSettings } from '#libs/internal/settings.ts';
import { parseAddress } from '../../values/listen-address.ts';
import { notEmpty, text, textList } from '../../values/schema.ts';
import type { Secret } from '../../values/secret.ts';

const plain = 'without a certificate everything is sent in the clear';

/** `portcullis.internal`: TLS and the shared secret of the links between our own processes on several machines. */
export const internalSchema = z.object({
  secretfile: text.optional().describe('File that holds what http.secret would.'),
  certificate: notEmpty(text.optional(), plain).describe(
    'File with the certificate of our own processes, for links between machines (PEM).',
  ),
  key: notEmpty(text.optional(), plain).describe('File with its private key (PEM).'),
  rootcas: textList
    .default([])
    .describe(
      'Files of the authorities that may sign the certificates of the others; without it those of the system.',
    ),
});

/** Where our processes listen and look for each other, as it was written. */
interface Links {
  gateway: { cores: readonly string[]; auth: readonly string[] };
  core: { listen?: string | undefined };
  auth: { listen?: string | undefined };
  internal: z.infer<typeof internalSchema>;
}

/** What the internal links depend on besides. */
interface Here {
  /** `http.secret`, or what stands for it. */
  secret: Secret | undefined;
  sockets: { auth: string; core: string; cores: readonly string[] };
  /** How many cores run here. */
  cores: number;
  /** The number of this process among its like. */
  worker: number;
}

/** @throws Error with one clear sentence */
export function internalSettings(
  { gateway, core, auth, internal }: Links,
  here: Here,
): InternalSettings {
  const { sockets } = here;
  // A file's last line end is no part of it, however it came here.
  const secret = here.secret?.reveal().trim();
  const coreListener = listener(core.listen, 'portcullis.core.listen', sockets.core);
  const authListener = listener(auth.listen, 'portcullis.auth.listen', sockets.auth);
  const tls = internal.certificate !== undefined;
  const ownCores = coreListener.isPrivate
    ? sockets.cores.map((socket): InternalAddress => ({ kind: 'unix', socket }))
    : Array.from({ length: here.cores }, (_, index) =>
        ownAddress(workerListener(coreListener, index + 1), tls),
      );
  const cores = addresses(gateway.cores, 'portcullis.gateway.cores', ownCores);
  const auths = addresses(gateway.auth, 'portcullis.gateway.auth', [ownAddress(authListener, tls)]);
  const remote =
    (coreListener.isPrivate ? undefined : core.listen) ??
    (authListener.isPrivate ? undefined : auth.listen) ??
    [...gateway.cores, ...gateway.auth].find((address) => !address.startsWith('unix:'));
  if (remote !== undefined && (secret ?? '').length < 16) {
    throw new Error(
      `http.secret: processes that reach each other at ${remote} need the same secret of at least 16 characters (openssl rand -hex 32)`,
    );
  }
  if ((internal.certificate === undefined) !== (internal.key === undefined)) {
    throw new Error(
      'portcullis.internal: certificate and key belong together; one of them is missing',
    );
  }
  return {
    core: workerListener(coreListener, here.worker),
    auth: authListener,
    cores,
    auths,
    secret,
    tls:
      internal.certificate === undefined || internal.key === undefined
        ? undefined
        : { certificate: resolve(internal.certificate), key: resolve(internal.key) },
    authorities: internal.rootcas.map((path) => resolve(path)),
  };
}

function addresses(
  given: readonly string[],
  key: string,
  own: InternalAddress[],
): InternalAddress[] {
  return given.length === 0 ? own : given.map((text) => parseInternalAddress(text, key));
}

/** Where one of several workers listens by TCP: the first on the port configured, the others behind it. */
function workerListener({ listen, isPrivate }: InternalListener, worker: number): InternalListener {
  if ('socket' in listen) return { listen, isPrivate };
  return { listen: { ...listen, port: listen.port + worker - 1 }, isPrivate };
}

/** How others on this machine reach a listener. */
function ownAddress({ listen }: InternalListener, tls: boolean): InternalAddress {
  if ('socket' in listen) return { kind: 'unix', socket: listen.socket };
  const { host = '127.0.0.1', port } = listen;
  return { kind: 'tcp', host: host === '0.0.0.0' ? '127.0.0.1' : host, port, tls };
}

function listener(given: string | undefined, key: string, socket: string): InternalListener {
  if (given === undefined) return { listen: { socket }, isPrivate: true };
  const unix = socketIn(given);
  if (unix !== undefined) return { listen: { socket: unix }, isPrivate: true };
  return { listen: parseAddress(given, key), isPrivate: false };
}
