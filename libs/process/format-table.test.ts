import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTable } from './format-table.ts';

test('columns are as wide as what is longest in them, and lines end without blanks', () => {
  assert.equal(
    formatTable(
      ['USER', 'PASSWORD'],
      [
        ['bob', 'bcrypt'],
        ['alexandra', ''],
      ],
    ),
    'USER        PASSWORD\nbob         bcrypt\nalexandra\n',
  );
});
