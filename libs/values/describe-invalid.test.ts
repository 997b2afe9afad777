import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { describeInvalid } from './describe-invalid.ts';

const schema = z.object({ robots: z.record(z.string(), z.object({ hash: z.string().min(2) })) });

test('what is wrong with a file is told by its key, in the words of whoever writes it', () => {
  const of = (value: unknown) => describeInvalid(schema.safeParse(value).error);
  assert.equal(of('bad'), 'the whole must be keys with their values');
  assert.equal(of({ robots: { ci: {} } }), 'robots.ci.hash is missing');
  assert.equal(of({ robots: { ci: { hash: 7 } } }), 'robots.ci.hash must be text');
  assert.match(of({ robots: { ci: { hash: 'x' } } }), /^robots\.ci\.hash: /);
  assert.equal(describeInvalid(new Error('another one')), 'another one');
});
