import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  binaryHeader,
  extra,
  ipv4Block,
  ipv6Block,
  proxyLine,
} from '../../../test/support/proxy-header.ts';
import { crc32c } from './crc32c.ts';
import { parseProxyHeader } from './parse-header.ts';

const stateOf = (bytes: Buffer | string) => parseProxyHeader(Buffer.from(bytes)).state;

/** A header with its checksum right, or off by so much. */
function withChecksum(off = 0): Buffer {
  const header = binaryHeader({
    rest: Buffer.concat([
      ipv4Block([203, 0, 113, 7]),
      extra(3, Buffer.alloc(4)),
      extra(4, Buffer.alloc(9)),
    ]),
  });
  const sum = crc32c(header);
  header.writeUInt32BE((sum + off) >>> 0, 16 + 12 + 3);
  return header;
}

describe('the checksum', () => {
  test('is the one of RFC 3720, appendix B.4', () => {
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  });
});

describe('a header of version 1', () => {
  const good: readonly [line: string, client: string | undefined][] = [
    ['PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n', '203.0.113.7'],
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255'],
    ['PROXY TCP4 203.0.113.7 192.0.2.1 0 0\r\n', '203.0.113.7'],
    ['PROXY TCP6 2001:DB8::7 ::1 56324 443\r\n', '2001:db8::7'],
    ['PROXY TCP6 2001:0db8:0:0:0:0:0:0007 ::1 56324 443\r\n', '2001:db8::7'],
    ['PROXY UNKNOWN\r\n', undefined],
    [`PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`, undefined],
  ];
  for (const [line, client] of good) {
    test(`${JSON.stringify(line)} names ${client ?? 'nobody'}`, () => {
      assert.deepEqual(parseProxyHeader(Buffer.from(`${line}GET / HTTP/1.1\r\n`)), {
        state: 'complete',
        length: line.length,
        client,
      });
    });
  }

  const bad: readonly string[] = [
    'PROXY\r\n',
    'PROXY \r\n',
    'PROXY UNKNOWNS\r\n',
    'PROXY UNKNOWN \n\r\n',
    'PROXY TCP5 203.0.113.7 192.0.2.1 56324 443\r\n',
    'PROXY UDP4 203.0.113.7 192.0.2.1 56324 443\r\n',
    'PROXY tcp4 203.0.113.7 192.0.2.1 56324 443\r\n',
    'proxy TCP4 203.0.113.7 192.0.2.1 56324 443\r\n',
    'PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 \r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 56324 65536\r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 056324 443\r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 -1 443\r\n',
    'PROXY TCP4 203.0.113.256 192.0.2.1 56324 443\r\n',
    'PROXY TCP4 203.0.113.07 192.0.2.1 56324 443\r\n',
    'PROXY TCP4 203.0.113.7 nowhere 56324 443\r\n',
    'PROXY TCP4 2001:db8::7 ::1 56324 443\r\n',
    'PROXY TCP6 203.0.113.7 192.0.2.1 56324 443\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n',
    'PROXY TCP6 2001:db8:::7 ::1 56324 443\r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\nGET / HTTP/1.1\r\n',
    'PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\rGET',
    `PROXY UNKNOWN ${'x'.repeat(93)}\r\n`,
    `PROXY UNKNOWN ${'x'.repeat(93)}`,
    'GET / HTTP/1.1\r\n',
    ' PROXY UNKNOWN\r\n',
    '\r\nPROXY UNKNOWN\r\n',
  ];
  for (const line of bad) {
    test(`${JSON.stringify(line)} is none`, () => assert.equal(stateOf(line), 'malformed'));
  }

  test('of 107 bytes is taken, and of more is not waited for', () => {
    assert.equal(stateOf(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`), 'complete');
    assert.equal(stateOf(`PROXY UNKNOWN ${'x'.repeat(92)}`), 'incomplete');
    assert.equal(stateOf(`PROXY UNKNOWN ${'x'.repeat(92)}\r`), 'malformed');
  });
});

describe('a header of version 2', () => {
  const unix = Buffer.concat([Buffer.from('/run/x.sock'), Buffer.alloc(205)]);
  const good: readonly [what: string, header: Buffer, client: string | undefined][] = [
    ['TCP over IPv4', binaryHeader({ rest: ipv4Block([203, 0, 113, 7]) }), '203.0.113.7'],
    [
      'UDP over IPv4',
      binaryHeader({ family: 0x12, rest: ipv4Block([203, 0, 113, 7]) }),
      '203.0.113.7',
    ],
    [
      'TCP over IPv6',
      binaryHeader({ family: 0x21, rest: ipv6Block([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]) }),
      '2001:db8::7',
    ],
    ['a Unix socket', binaryHeader({ family: 0x31, rest: unix }), undefined],
    ['no family', binaryHeader({ family: 0 }), undefined],
    ['no family, with bytes', binaryHeader({ family: 0, rest: Buffer.alloc(50, 7) }), undefined],
    ['no transport', binaryHeader({ family: 0x10, rest: ipv4Block([1, 2, 3, 4]) }), undefined],
    ['LOCAL', binaryHeader({ command: 0x20, family: 0 }), undefined],
    [
      'LOCAL with addresses',
      binaryHeader({ command: 0x20, rest: ipv4Block([1, 2, 3, 4]) }),
      undefined,
    ],
    [
      'LOCAL of no known family',
      binaryHeader({ command: 0x20, family: 0xff, rest: unix }),
      undefined,
    ],
    [
      'extras',
      binaryHeader({
        rest: Buffer.concat([
          ipv4Block([203, 0, 113, 7]),
          extra(2, Buffer.from('registry.example.com')),
          extra(0x20, Buffer.alloc(30)),
          extra(0xe4, Buffer.alloc(3000)),
          extra(4, Buffer.alloc(0)),
        ]),
      }),
      '203.0.113.7',
    ],
    ['a checksum', withChecksum(), '203.0.113.7'],
  ];
  for (const [what, header, client] of good) {
    test(`with ${what} names ${client ?? 'nobody'}`, () => {
      assert.deepEqual(parseProxyHeader(Buffer.concat([header, Buffer.from('\x16\x03\x01')])), {
        state: 'complete',
        length: header.length,
        client,
      });
    });
  }

  const addresses = ipv4Block([203, 0, 113, 7]);
  const bad: readonly [what: string, header: Buffer][] = [
    ['version 1', binaryHeader({ command: 0x11, rest: addresses })],
    ['version 3', binaryHeader({ command: 0x31, rest: addresses })],
    ['an unknown command', binaryHeader({ command: 0x22, rest: addresses })],
    ['an unknown family', binaryHeader({ family: 0x41, rest: addresses })],
    ['an unknown transport', binaryHeader({ family: 0x13, rest: addresses })],
    ['half an address', binaryHeader({ rest: addresses.subarray(0, 11) })],
    ['IPv4 addresses called IPv6', binaryHeader({ family: 0x21, rest: addresses })],
    ['more than 4096 bytes to come', binaryHeader({ length: 4081 })],
    ['an extra cut short', binaryHeader({ rest: Buffer.concat([addresses, Buffer.from([4, 0])]) })],
    [
      'an extra that reaches beyond',
      binaryHeader({ rest: Buffer.concat([addresses, Buffer.from([4, 0, 9, 1, 2])]) }),
    ],
    ['a wrong checksum', withChecksum(1)],
    [
      'a short checksum',
      binaryHeader({ rest: Buffer.concat([addresses, extra(3, Buffer.alloc(2))]) }),
    ],
  ];
  for (const [what, header] of bad) {
    test(`with ${what} is none`, () => assert.equal(stateOf(header), 'malformed'));
  }
});

describe('whatever comes', () => {
  const byte = fc.nat(255);
  const address = fc.oneof(
    fc.tuple(byte, byte, byte, byte).map((bytes) => ({
      client: bytes.join('.'),
      headers: [binaryHeader({ rest: ipv4Block(bytes) }), proxyLine(bytes.join('.'))],
    })),
    fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 }).map((groups) => {
      const text = groups.map((group) => group.toString(16)).join(':');
      return {
        client: new URL(`http://[${text}]`).hostname.slice(1, -1),
        headers: [binaryHeader({ family: 0x21, rest: ipv6Block(groups) }), proxyLine(text)],
      };
    }),
  );

  test('a header in pieces is incomplete until its last byte, and then names its client', () => {
    fc.assert(
      fc.property(address, fc.uint8Array({ maxLength: 64 }), ({ client, headers }, rest) => {
        for (const header of headers) {
          for (let length = 0; length < header.length; length += 1) {
            assert.equal(stateOf(header.subarray(0, length)), 'incomplete');
          }
          const found = parseProxyHeader(Buffer.concat([header, rest]));
          assert.equal(found.state, 'complete');
          assert.equal(found.length, header.length);
          const named = found.client ?? '';
          assert.equal(
            new URL(`http://${named.includes(':') ? `[${named}]` : named}`).hostname.replace(
              /[[\]]/g,
              '',
            ),
            client,
          );
        }
      }),
    );
  });

  test('no bytes make it throw, and more than 4096 always settle it', () => {
    const start = fc.constantFrom(
      Buffer.alloc(0),
      Buffer.from('PROXY '),
      Buffer.from('PROXY TCP6 '),
      binaryHeader().subarray(0, 12),
      binaryHeader().subarray(0, 13),
      binaryHeader({ rest: ipv4Block([1, 2, 3, 4]) }),
    );
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (begin, rest) => {
        parseProxyHeader(Buffer.concat([begin, rest]));
        assert.notEqual(stateOf(Buffer.concat([begin, rest, Buffer.alloc(4096)])), 'incomplete');
      }),
      { numRuns: 1000 },
    );
  });

  test('a header with one byte changed is taken or refused, and never longer than it says', () => {
    const header = withChecksum();
    fc.assert(
      fc.property(fc.nat(header.length - 1), byte, (at, value) => {
        const changed = Buffer.from(header);
        changed[at] = value;
        const found = parseProxyHeader(changed);
        if (found.state === 'complete') assert.ok(found.length <= changed.length);
        // Under a checksum a changed address is never believed.
        if (found.state === 'complete' && at >= 16 && at < 28) assert.deepEqual(changed, header);
      }),
      { numRuns: 1000 },
    );
  });
});
