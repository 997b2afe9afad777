import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { freePiece } from './free-piece.ts';

test('a piece of an HTTP/1.1 message is freed, unless its memory is shared', () => {
  const message = new IncomingMessage(new Socket());
  const own = Buffer.allocUnsafeSlow(1024);
  freePiece(own, message);
  assert.equal(own.length, 0);
  const memory = Buffer.allocUnsafeSlow(1024);
  for (const part of [memory.subarray(0, 512), memory.subarray(512), memory.subarray(1)]) {
    freePiece(part, message);
  }
  assert.equal(memory.length, 1024);
});

test('a piece of anything else is left as it is', () => {
  const piece = Buffer.allocUnsafeSlow(1024);
  freePiece(piece, new PassThrough());
  assert.equal(piece.length, 1024);
});
