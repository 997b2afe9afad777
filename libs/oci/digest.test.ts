import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { clip, Digester, digestOf, digestParts, isDigest, parseDigest } from './digest.ts';

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));

test('digests of known algorithms with the right number of digits are read', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        hex(64).map((text) => `sha256:${text}`),
        hex(128).map((text) => `sha512:${text}`),
      ),
      (text) => {
        const { algorithm, hex: digits } = digestParts(parseDigest(text));
        assert.equal(`${algorithm}:${digits}`, text);
      },
    ),
  );
});

test('everything else is DIGEST_INVALID', () => {
  const sixtyFour = 'a'.repeat(64);
  for (const text of [
    '',
    ':',
    'sha256',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${sixtyFour}a`,
    `sha256:${'A'.repeat(64)}`,
    `sha256:${sixtyFour}\n`,
    ` sha256:${sixtyFour}`,
    `SHA256:${sixtyFour}`,
    `sha512:${sixtyFour}`,
    `md5:${'a'.repeat(32)}`,
    `sha256:${sixtyFour}:x`,
    `__proto__:${sixtyFour}`,
    `constructor:${sixtyFour}`,
    `sha256:../../${'a'.repeat(58)}`,
  ]) {
    assert.equal(isDigest(text), false, text);
    assert.throws(() => parseDigest(text), { code: 'DIGEST_INVALID' });
  }
});

test('a running digest can be read at any point and goes on', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), (chunks) => {
      const digester = new Digester('sha256');
      const seen: Uint8Array[] = [];
      for (const chunk of chunks) {
        digester.update(chunk);
        seen.push(chunk);
        const whole = createHash('sha256').update(Buffer.concat(seen)).digest('hex');
        assert.equal(digester.digest(), `sha256:${whole}`);
      }
    }),
  );
});

test('the digest of nothing is the well-known one', () => {
  assert.equal(
    digestOf(new Uint8Array()),
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  );
});

test('what a message repeats of the input is bounded', () => {
  assert.equal(clip('a'.repeat(1000)).length, 101);
  assert.equal(clip('short'), 'short');
});
