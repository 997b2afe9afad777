import type { IncomingHttpHeaders } from 'node:http';
import { RegistryError } from '../oci/errors.ts';
import { internalHeaders } from './internal-headers.ts';

/**
 * Versions of what our processes say to each other on internal links: paths, headers and bodies of requests and answers.
 * All from the oldest to the newest are understood, so that an upgrade may replace processes in any order
 * (docs/adr/0017). 0 is what did not say its version; from 2 on token services know of requests that are asked together.
 */
export const internalProtocol = { oldest: 0, newest: 2 } as const;

/** Requests that are asked for in one, at most: their ids go into a header. */
export const mostJoined = 64;

/** The version in which a request or answer of one of ours is made; 0 where it does not say. */
export function protocolOf(headers: IncomingHttpHeaders): number {
  const version = Number(headers[internalHeaders.protocol] ?? 0);
  return Number.isSafeInteger(version) ? version : 0;
}

/**
 * What is wrong with a version, for the log of whoever runs the registry; undefined for one that is understood. One that
 * is newer than ours is for the other side to judge, which knows both.
 */
export function describeUnspoken(
  version: number,
  oldest: number = internalProtocol.oldest,
): string | undefined {
  if (version >= oldest) return undefined;
  return `it speaks version ${version} of the internal protocol, and ${oldest} is the oldest that is understood here; upgrade it to a version in between first`;
}

/** @throws RegistryError UNAVAILABLE for a request in a version that is not understood any more */
export function assertSpoken(headers: IncomingHttpHeaders, oldest?: number): void {
  const why = describeUnspoken(protocolOf(headers), oldest);
  if (why === undefined) return;
  throw new RegistryError('UNAVAILABLE', {
    message: 'the registry is being upgraded; try again',
    retryAfter: 5,
    cause: new Error(`a process of ours was refused: ${why}`),
  });
}
