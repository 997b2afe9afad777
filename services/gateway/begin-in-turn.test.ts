import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { beginInTurn } from './begin-in-turn.ts';

describe('requests of one breath', () => {
  const begun: string[] = [];
  const begin = beginInTurn(({ url = '' }) => void begun.push(url));

  function connection(remoteAddress: string): Socket {
    return Object.defineProperty(new Socket(), 'remoteAddress', { value: remoteAddress });
  }

  function send(socket: Socket, url: string): ServerResponse {
    const request = Object.assign(new IncomingMessage(socket), { url });
    const response = new ServerResponse(request);
    begin(request, response);
    return response;
  }

  const nextTurn = async () => {
    begun.length = 0;
    await new Promise(setImmediate);
    return [...begun];
  };

  test('are begun a few in each turn, of each network and each connection in turn', async () => {
    const [one, other, elsewhere] = ['203.0.113.7', '203.0.113.7', '203.0.113.8'].map(connection);
    assert.ok(one && other && elsewhere);
    await nextTurn();
    for (let count = 0; count < 40; count += 1) send(one, 'one');
    assert.equal(begun.length, 16);
    for (let count = 0; count < 12; count += 1) send(other, 'other');
    for (let count = 0; count < 2; count += 1) send(elsewhere, 'elsewhere');
    const first = await nextTurn();
    assert.deepEqual(first.slice(0, 6), ['one', 'elsewhere', 'other', 'elsewhere', 'one', 'other']);
    assert.equal(first.length, 16);
    const rest: string[] = [];
    for (let turn = await nextTurn(); turn.length > 0; turn = await nextTurn()) rest.push(...turn);
    assert.deepEqual(rest.filter((url) => url === 'one').length, 24 - 7);
    assert.deepEqual(rest.filter((url) => url === 'other').length, 12 - 7);
    send(one, 'again');
    assert.deepEqual(begun, ['again'], 'at once where nobody waits');
    await nextTurn();
  });

  test('that their client has left are not begun', async () => {
    const client = connection('203.0.113.7');
    const responses = Array.from({ length: 1000 }, () => send(client, 'left'));
    for (const response of responses.slice(16)) response.destroy();
    send(client, 'last');
    assert.deepEqual(await nextTurn(), ['last']);
  });
});
