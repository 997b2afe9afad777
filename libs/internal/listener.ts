import { type PeerCheck, trustAnyPeer, trustNoPeer } from '#libs/http/peer-check.ts';
import { readCertificate } from '#libs/tls/certificate-files.ts';
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
): Promise<{ cert: Buffer; key: Buffer } | undefined> {
  if (isPrivate || tls === undefined) return undefined;
  return await readCertificate(tls, 'portcullis.internal');
}
