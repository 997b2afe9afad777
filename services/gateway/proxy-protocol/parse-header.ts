import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { crc32c } from './crc32c.ts';

/** What the first bytes of a connection are, as far as they came. */
export type ProxyHeader =
  | { state: 'incomplete' }
  | { state: 'malformed'; why: string }
  | {
      state: 'complete';
      /** Bytes of the header; what follows is the client's. */
      length: number;
      /** The client's address; undefined where the connection's own is to be taken. */
      client: string | undefined;
    };

/** Bytes of the longest line of version 1, its end included. */
const maxLine = 107;
/** Bytes of the longest header of version 2 that we take; the addresses need 232, the rest is extras. */
const maxBinary = 4096;

const lineStart = Buffer.from('PROXY ');
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
/** Bytes before the addresses of version 2. */
const fixedPart = 16;

const commands = { local: 0, proxy: 1 } as const;
const families = { unspecified: 0, ipv4: 1, ipv6: 2, unix: 3 } as const;
/** Bytes of both addresses, with ports, by family. */
const addressLengths = [0, 12, 36, 216] as const;
const checksumType = 3;

const incomplete: ProxyHeader = { state: 'incomplete' };

/**
 * Reads the header of the PROXY protocol, version 1 or 2. Total: whatever comes, it answers.
 * @param bytes all that came of the connection so far
 */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, signature)) return parseBinary(bytes);
  if (beginsLike(bytes, lineStart)) return parseLine(bytes);
  return malformed('the connection begins with something else');
}

/** True as long as nothing speaks against it. */
function beginsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}

function parseLine(bytes: Buffer): ProxyHeader {
  const text = bytes.toString('latin1', 0, maxLine);
  const end = text.indexOf('\r\n');
  if (end < 0) {
    if (bytes.length >= maxLine) return malformed('the line is too long');
    return /\n|\r./s.test(text) ? malformed('the line does not end in CR LF') : incomplete;
  }
  const line = text.slice(0, end);
  const length = end + 2;
  // Whatever follows is to be ignored.
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?$/.test(line)) return complete(length, undefined);
  const match = /^PROXY (TCP[46]) ([\d.:A-Fa-f]+) ([\d.:A-Fa-f]+) (\d{1,5}) (\d{1,5})$/.exec(line);
  if (match === null) return malformed('the line cannot be read');
  const [, protocol, source = '', destination = '', ...ports] = match;
  const isAddress = protocol === 'TCP4' ? isIPv4 : isIPv6;
  if (!isAddress(source) || !isAddress(destination)) {
    return malformed(`the addresses are not those of ${protocol}`);
  }
  if (!ports.every((port) => Number(port) <= 65_535 && !/^0\d/.test(port))) {
    return malformed('a port is not a number up to 65535');
  }
  return complete(length, protocol === 'TCP4' ? source : usualForm(source));
}

function parseBinary(bytes: Buffer): ProxyHeader {
  if (bytes.length < fixedPart) return incomplete;
  const [version, command] = halves(bytes.readUInt8(12));
  const [family, transport] = halves(bytes.readUInt8(13));
  const length = fixedPart + bytes.readUInt16BE(14);
  if (version !== 2) return malformed(`unsupported version ${version}`);
  if (command > commands.proxy) return malformed(`unsupported command ${command}`);
  if (length > maxBinary) return malformed(`the header is longer than ${maxBinary} bytes`);
  if (bytes.length < length) return incomplete;
  // The proxy speaks for itself, as in a health check; the rest says nothing.
  if (command === commands.local) return complete(length, undefined);
  const addressLength = addressLengths[family];
  if (addressLength === undefined || transport > 2) {
    return malformed(`unsupported family ${family} with transport ${transport}`);
  }
  if (family === families.unspecified || transport === 0) return complete(length, undefined);
  const extras = fixedPart + addressLength;
  if (extras > length) return malformed('the header is too short for its addresses');
  const fault = faultOfExtras(bytes.subarray(0, length), extras);
  return fault === undefined ? complete(length, sourceOf(bytes, family)) : malformed(fault);
}

function sourceOf(bytes: Buffer, family: number): string | undefined {
  if (family === families.ipv4) return bytes.subarray(fixedPart, fixedPart + 4).join('.');
  if (family !== families.ipv6) return undefined;
  const groups = bytes.toString('hex', fixedPart, fixedPart + 16).match(/.{4}/g) ?? [];
  return usualForm(groups.join(':'));
}

/** What is wrong with the type-length-value vectors; of what they say only the checksum matters. */
function faultOfExtras(header: Buffer, start: number): string | undefined {
  let at = start;
  while (at < header.length) {
    const value = at + 3;
    const end = value > header.length ? Infinity : value + header.readUInt16BE(at + 1);
    if (end > header.length) return 'an extra is longer than the header';
    if (header[at] === checksumType) {
      if (end - value !== 4) return 'the checksum does not have 4 bytes';
      const cleared = Buffer.from(header).fill(0, value, end);
      if (crc32c(cleared) !== header.readUInt32BE(value)) return 'the checksum is wrong';
    }
    at = end;
  }
  return undefined;
}

/** IPv6 as everybody writes it, so that one address is one text. */
function usualForm(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

function halves(byte: number): [high: number, low: number] {
  return [byte >> 4, byte & 15];
}

function complete(length: number, client: string | undefined): ProxyHeader {
  return { state: 'complete', length, client };
}

function malformed(why: string): ProxyHeader {
  return { state: 'malformed', why };
}
