import { readText } from '#libs/files/read-text.ts';
import { type PeerCheck, trustAnyPeer, trustNoPeer } from '#libs/http/peer-check.ts';
import type { InternalListener, InternalSettings } from './settings.ts';
import { createRequestSigner, trustSignedRequests } from './signature.ts';

/** Whose internal headers a process trusts that listens at this address. */
export function peerCheckOf(
  { isPrivate }: InternalListener,
  { secret }: InternalSettings,
): PeerCheck {
  if (isPrivate) return trustAnyPeer;
  return secret === undefined ? trustNoPeer : trustSignedRequests(createRequestSigner(secret));
}

/** The certificate of a process that others reach from other machines. */
export async function loadInternalTls(
  { isPrivate }: InternalListener,
  { tls }: InternalSettings,
): Promise<{ cert: string; key: string } | undefined> {
  if (isPrivate || tls === undefined) return undefined;
  const [cert, key] = await Promise.all([read(tls.certificate), read(tls.key)]);
  return { cert, key };
}

const read = (path: string) => readText(path, 'portcullis.internal');
