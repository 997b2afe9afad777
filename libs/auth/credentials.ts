/** What an Authorization header carries. */
export type Credentials =
  | { scheme: 'none' }
  | { scheme: 'bearer'; token: string }
  | { scheme: 'basic'; account: string; password: string }
  | { scheme: 'malformed'; why: string };

/** Reads an Authorization header (RFC 7617 for Basic, RFC 6750 for Bearer). Never throws. */
export function parseAuthorization(header: string | undefined): Credentials {
  if (header === undefined || header === '') return { scheme: 'none' };
  const space = header.indexOf(' ');
  const scheme = (space === -1 ? header : header.slice(0, space)).toLowerCase();
  const value = space === -1 ? '' : header.slice(space + 1).trim();
  if (scheme === 'bearer') {
    if (!/^[A-Za-z0-9._~+/=-]+$/.test(value)) return malformed('the Bearer token is not a token');
    return { scheme: 'bearer', token: value };
  }
  if (scheme === 'basic') return parseBasic(value);
  return malformed('only Bearer and Basic are understood');
}

function parseBasic(value: string): Credentials {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value)) return malformed('Basic credentials are not base64');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(value, 'base64'),
    );
  } catch {
    return malformed('Basic credentials are not UTF-8');
  }
  const colon = text.indexOf(':');
  if (colon === -1) return malformed('Basic credentials have no colon');
  return { scheme: 'basic', account: text.slice(0, colon), password: text.slice(colon + 1) };
}

function malformed(why: string): Credentials {
  return { scheme: 'malformed', why };
}
