import { isIPv6 } from 'node:net';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n');

/** A header of version 1 for a connection from `source`. */
export function proxyLine(source: string): Buffer {
  const [protocol, destination] = isIPv6(source) ? ['TCP6', '2001:db8::1'] : ['TCP4', '192.0.2.1'];
  return Buffer.from(`PROXY ${protocol} ${source} ${destination} 51234 443\r\n`);
}

export interface BinaryHeader {
  /** Version and command: 0x21 is PROXY of version 2, 0x20 LOCAL. */
  command?: number;
  /** Family and transport: 0x11 is TCP over IPv4. */
  family?: number;
  /** What follows the fixed part: addresses and extras. */
  rest?: Buffer;
  /** The length announced, if not that of `rest`. */
  length?: number;
}

/** A header of version 2, proper or not. */
export function binaryHeader({
  command = 0x21,
  family = 0x11,
  rest = Buffer.alloc(0),
  length = rest.length,
}: BinaryHeader = {}): Buffer {
  const head = Buffer.from([command, family, length >> 8, length & 255]);
  return Buffer.concat([signature, head, rest]);
}

/** The bytes of IPv4 source and destination with their ports. */
export function ipv4Block(source: readonly number[]): Buffer {
  return Buffer.from([...source, 192, 0, 2, 1, 0xc8, 0x22, 1, 0xbb]);
}

/** The bytes of IPv6 source, eight groups, and of a destination, with their ports. */
export function ipv6Block(source: readonly number[]): Buffer {
  const groups = [...source, 0x2001, 0xdb8, 0, 0, 0, 0, 0, 1, 51_234, 443];
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

/** A type-length-value vector. */
export function extra(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), value]);
}
