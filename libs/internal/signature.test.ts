import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequestSigner } from './signature.ts';

const request = {
  method: 'PUT',
  url: '/v2/team/app/manifests/latest?tag=a',
  headers: { 'x-request-id': 'r-1', 'x-portcullis-client': '192.0.2.7' },
};

test('a request that one of ours signed is believed', () => {
  const signature = createRequestSigner('shared secret').sign(request);
  assert.equal(createRequestSigner('shared secret').verify(request, signature), true);
});

test('nothing else is believed', () => {
  const signer = createRequestSigner('shared secret');
  const signature = signer.sign(request);
  const changed = [
    { ...request, method: 'GET' },
    { ...request, url: '/v2/team/app/manifests/latest' },
    { ...request, headers: { ...request.headers, 'x-request-id': 'r-2' } },
    { ...request, headers: { ...request.headers, 'x-portcullis-client': '127.0.0.1' } },
    { ...request, headers: {} },
  ];
  for (const other of changed) assert.equal(signer.verify(other, signature), false);
  for (const bad of ['', '.', 'x.y', signature.slice(1), `${signature}A`, `9${signature}`]) {
    assert.equal(signer.verify(request, bad), false, bad);
  }
  assert.equal(createRequestSigner('another secret').verify(request, signature), false);
});

test('ids of joined requests are covered, by a part that versions before do not look at', () => {
  const signer = createRequestSigner('shared secret');
  const joined = { ...request, headers: { ...request.headers, 'x-portcullis-joined': 'r-2,r-3' } };
  const signature = signer.sign(joined);
  assert.equal(signer.verify(joined, signature), true);
  const forged = { ...request, headers: { ...request.headers, 'x-portcullis-joined': 'r-4' } };
  for (const one of [signature, signer.sign(request)]) {
    assert.equal(signer.verify(forged, one), false);
  }
  assert.equal(signer.verify(joined, signer.sign(request)), false);
  // They take the first two parts for all of it.
  const [time, first] = signature.split('.');
  assert.equal(signer.verify(request, `${time}.${first}`), true);
});

test('a request that was kept is refused a minute later', () => {
  let now = 1_700_000_000_000;
  const signer = createRequestSigner('shared secret', () => now);
  const signature = signer.sign(request);
  now += 60_000;
  assert.equal(signer.verify(request, signature), true);
  now += 1;
  assert.equal(signer.verify(request, signature), false);
  now -= 120_002;
  assert.equal(signer.verify(request, signature), false);
});
