import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { supportTable } from '#libs/config/support.ts';
import { errorCodes } from '#libs/oci/errors.ts';
import { configurationReference } from './support/configuration-reference.ts';

const page = (name: string) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const read = (name: string) => readFileSync(page(name), 'utf8');

/** `make docs` sets this to have the generated parts written instead of compared. */
const rewrite = process.env.UPDATE_DOCS === '1';

test('docs/errors.md lists the codes of the table with their statuses, and no others', () => {
  const rows = [...read('errors.md').matchAll(/^\| ([A-Z_]+) \| (\d{3}) \|/gm)];
  assert.deepEqual(
    Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)])),
    Object.fromEntries(Object.entries(errorCodes).map(([code, { status }]) => [code, status])),
  );
});

test('the error table has every code of the specification', () => {
  const specified = [
    ...['BLOB_UNKNOWN', 'BLOB_UPLOAD_INVALID', 'BLOB_UPLOAD_UNKNOWN', 'DIGEST_INVALID'],
    ...['MANIFEST_BLOB_UNKNOWN', 'MANIFEST_INVALID', 'MANIFEST_UNKNOWN', 'NAME_INVALID'],
    ...['NAME_UNKNOWN', 'SIZE_INVALID', 'UNAUTHORIZED', 'DENIED', 'UNSUPPORTED', 'TOOMANYREQUESTS'],
  ];
  assert.deepEqual(
    specified.filter((code) => !Object.hasOwn(errorCodes, code)),
    [],
  );
});

/** The generated part of docs/configuration.md between two markers. */
function assertGenerated(name: string, expected: string): void {
  const text = read('configuration.md');
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const start = text.indexOf(begin) + begin.length;
  const stop = text.indexOf(end);
  assert.ok(start >= begin.length && stop > start, `the markers of ${name} are missing`);
  const current = text.slice(start, stop).trim();
  if (rewrite && current !== expected) {
    writeFileSync(
      page('configuration.md'),
      `${text.slice(0, start)}\n${expected}\n${text.slice(stop)}`,
    );
    return;
  }
  assert.equal(current, expected, 'docs/configuration.md is stale; run make docs');
}

test('docs/configuration.md lists every key of the schema', () => {
  assertGenerated('keys', configurationReference());
});

test('docs/configuration.md lists what is not supported', () => {
  const rows = supportTable
    .filter(({ level }) => level !== 'note')
    .map(({ path, level, why }) => `| \`${path}\` | ${level}s | ${why} |`);
  assertGenerated('support', ['| Key | | Why |', '| --- | --- | --- |', ...rows].join('\n'));
});

test('docs/security.md names tests that there are', () => {
  const named = [...read('security.md').matchAll(/`((?:test|libs|services)\/[^`]+\.ts)`/g)];
  assert.ok(named.length > 20);
  for (const [, path = ''] of named) {
    assert.ok(existsSync(fileURLToPath(new URL(`../${path}`, import.meta.url))), path);
  }
});
