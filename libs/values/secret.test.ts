import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRedactedUrl, redactUrls } from './secret.ts';

test('passwords and what is named like a secret in a query are not shown', () => {
  for (const [text, shown] of [
    ['redis://u:p@host/1', 'redis://u:***@host/1'],
    ['redis://:p@ss@host', 'redis://:***@host'],
    ['https://x/k?X-Amz-Signature=abc&n=5', 'https://x/k?X-Amz-Signature=***&n=5'],
    ['https://x/k?n=5;token=abc', 'https://x/k?n=5;token=***'],
    ['see https://u:p@x/ and https://y/', 'see https://u:***@x/ and https://y/'],
    ['https://token@x/?n=5', 'https://***@x/?n=5'],
    ['no address', 'no address'],
  ] as const) {
    assert.equal(redactUrls(text), shown);
    assert.equal(isRedactedUrl(text), false, text);
    assert.equal(isRedactedUrl(shown), shown.includes('***'), shown);
  }
});
