import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { stateOf } from '#libs/files/file-state.ts';
import { formatFileValidators } from '#libs/http/file-validators.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import type { GatewayContext } from './authenticate.ts';
import { createKeptAnswers, type KeptAnswers } from './kept-answers.ts';

test('after a look that took long no file is looked at for a minute', async () => {
  await using folder = await createTemporaryFolder();
  const path = 'blobs/sha256/ab/data';
  await mkdir(join(folder.path, 'blobs/sha256/ab'), { recursive: true });
  await writeFile(join(folder.path, path), 'x');
  const state = stateOf(await stat(join(folder.path, path), { bigint: true }));
  const headers = { [internalHeaders.validators]: formatFileValidators([{ path, state }]) };
  let [time, lookTakes] = [0, 1];
  const answers = createKeptAnswers(folder.path, () => {
    time += lookTakes;
    return time;
  });
  const place = placeIn(answers, 'HEAD');
  place?.keep({ statusCode: 200, headers, rawHeaders: [] } as unknown as IncomingMessage);
  const isKept = () => place?.find() !== undefined;
  assert.ok(isKept());
  // As on a disk that fails.
  lookTakes = 200;
  assert.ok(isKept());
  lookTakes = 1;
  assert.equal(isKept(), false);
  time += 59_000;
  assert.equal(isKept(), false);
  place?.keep({ statusCode: 200, headers, rawHeaders: [] } as unknown as IncomingMessage);
  time += 1_000;
  assert.ok(isKept());
});

test('a body is kept in memory of its own, whatever becomes of the pieces it came in', async () => {
  await using folder = await createTemporaryFolder();
  const path = 'blobs/sha256/ab/data';
  await mkdir(join(folder.path, 'blobs/sha256/ab'), { recursive: true });
  await writeFile(join(folder.path, path), 'x');
  const state = stateOf(await stat(join(folder.path, path), { bigint: true }));
  const headers = {
    [internalHeaders.validators]: formatFileValidators([{ path, state }]),
    'content-length': '4',
  };
  const place = placeIn(createKeptAnswers(folder.path), 'GET');
  const answer = Object.assign(new EventEmitter(), {
    statusCode: 200,
    headers,
    rawHeaders: [],
    complete: true,
  });
  place?.keep(answer as unknown as IncomingMessage);
  for (const text of ['ab', 'cd']) {
    const piece = Buffer.from(text);
    answer.emit('data', piece);
    piece.fill('x');
  }
  answer.emit('end');
  const body = place?.find()?.body;
  assert.equal(body?.toString(), 'abcd');
  assert.equal(body?.buffer.byteLength, 4);
});

function placeIn(answers: KeptAnswers, method: 'GET' | 'HEAD') {
  const request = { method, req: { headers: {} } } as unknown as GatewayContext;
  return answers.placeFor(request, 'getManifest', '/v2/a/manifests/v1');
}
