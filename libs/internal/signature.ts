import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import type { PeerCheck } from '#libs/http/peer-check.ts';

/** How far the clocks of two machines may differ, and how late a request may come; milliseconds. */
const leeway = 60_000;
/** What the key is derived for; processes of all versions have the same. */
const purpose = 'portcullis hop';

/**
 * Proves to a process on another machine that a request comes from one of ours, so that it may believe
 * what the internal headers say. It does not hide anything, and the body is not covered: that is TLS'.
 */
export interface RequestSigner {
  /** The value of the signature header for a request with these internal headers. */
  sign(request: SignedRequest): string;
  /** True if one of our processes made this request, not long ago. */
  verify(request: SignedRequest, signature: string): boolean;
}

/** What a signature covers. */
export interface SignedRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: IncomingHttpHeaders | Readonly<Record<string, string>>;
}

/** @param secret `http.secret`, the same in all processes */
export function createRequestSigner(secret: string, now: () => number = Date.now): RequestSigner {
  const key = createHmac('sha256', secret).update(purpose).digest();

  /** @param more headers that are covered besides those that every version covers */
  function mac(time: string, { method, url, headers }: SignedRequest, ...more: string[]): Buffer {
    const names = [internalHeaders.requestId, internalHeaders.clientAddress, ...more];
    const covered = [time, method, url, ...names.map((name) => headers[name] ?? '')];
    return createHmac('sha256', key).update(JSON.stringify(covered)).digest();
  }

  /** Each a proof: one that versions without joined requests look at as well, and one that covers these. */
  function proofs(time: string, request: SignedRequest): Buffer[] {
    const { joined } = internalHeaders;
    const isJoined = request.headers[joined] !== undefined;
    return [mac(time, request), ...(isJoined ? [mac(time, request, joined)] : [])];
  }

  return {
    sign(request) {
      const time = String(now());
      return [time, ...proofs(time, request).map((one) => one.toString('base64url'))].join('.');
    },
    verify(request, signature) {
      const [time = '', ...given] = signature.split('.');
      if (!/^\d{1,16}$/.test(time) || Math.abs(now() - Number(time)) > leeway) return false;
      return proofs(time, request).every((expected, index) => {
        const actual = Buffer.from(given[index] ?? '', 'base64url');
        return actual.length === expected.length && timingSafeEqual(actual, expected);
      });
    },
  };
}

/** Trusts requests that are signed with `http.secret`. */
export function trustSignedRequests(signer: RequestSigner): PeerCheck {
  return ({ method = '', url = '', headers }) => {
    const signature = headers[internalHeaders.signature];
    return typeof signature === 'string' && signer.verify({ method, url, headers }, signature);
  };
}
