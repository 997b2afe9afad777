import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { supportTable } from '#libs/config/support.ts';
import { errorCodes } from '#libs/oci/errors.ts';
import { markdownManual } from '../services/portcullis/command-line/manual.ts';
import { createProgram } from '../services/portcullis/command-line/program.ts';
import { configurationReference, undescribedKeys } from './support/configuration-reference.ts';

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

test('docs/commands.md is the manual of the commands', async () => {
  const expected = markdownManual(await createProgram());
  if (rewrite) writeFileSync(page('commands.md'), expected);
  assert.equal(read('commands.md'), expected, 'docs/commands.md is stale; run make docs');
});

test('each key that is supported says what it means', () => {
  assert.deepEqual(undescribedKeys(), []);
});

test('docs/configuration.md lists what is not supported', () => {
  const rows = supportTable
    .filter(({ level }) => level !== 'note')
    .map(({ path, level, why }) => `| \`${path}\` | ${level}s | ${why} |`);
  assertGenerated('support', ['| Key | | Why |', '| --- | --- | --- |', ...rows].join('\n'));
});

/** What a test file calls its tests: whole titles, and of those made from templates the parts that stand. */
function titlesOf(source: string): { whole: Set<string>; parts: string[] } {
  const whole = new Set<string>();
  const parts: string[] = [];
  const calls = /^\s*test\(\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)/gm;
  for (const [, single, double, template] of source.matchAll(calls)) {
    if (template === undefined) whole.add((single ?? double ?? '').replace(/\\(.)/g, '$1'));
    else parts.push(...template.split(/\$\{[^}]*\}/));
  }
  return { whole, parts };
}

/** What is wrong with the tests that a text names as `file`: "title", "title". */
function wrongMentions(text: string): string[] {
  const wrong: string[] = [];
  for (const { 1: path = '', 0: mention, index } of text.matchAll(/`([^`\s]+\.ts)`/g)) {
    const file = new URL(`../${path}`, import.meta.url);
    const quoted = /^:(?:\s+"[^"]+"(?:,(?=\s+"))?)+/.exec(text.slice(index + mention.length));
    if (!existsSync(fileURLToPath(file))) wrong.push(`${path} is not there`);
    else if (quoted === null) wrong.push(`${path} without a title`);
    else {
      const { whole, parts } = titlesOf(readFileSync(file, 'utf8'));
      for (const [, title = ''] of quoted[0].matchAll(/"([^"]+)"/g)) {
        const line = title.replace(/\s+/g, ' ');
        const isPart = line.length >= 15 && parts.some((part) => part.includes(line));
        if (!whole.has(line) && !isPart) wrong.push(`${path} has no test "${line}"`);
      }
    }
  }
  return wrong;
}

test('docs/security.md names tests that there are', () => {
  const text = read('security.md');
  assert.ok([...text.matchAll(/\.ts`:/g)].length > 40);
  assert.deepEqual(wrongMentions(text), []);
  const own = '`test/docs.test.ts`';
  assert.deepEqual(wrongMentions(`${own}: "docs/security.md names\ntests that there are"`), []);
  assert.equal(wrongMentions(`${own}: "docs/security.md names"`).length, 1, 'a title is whole');
  assert.equal(wrongMentions(`(${own})`).length, 1, 'a title is needed');
  assert.equal(wrongMentions('`test/absent.test.ts`: "x"').length, 1);
});
