import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addressFor, nameToShow, welcome } from './welcome.ts';

test('clients call it by its name and port, in brackets where it is an address of IPv6', () => {
  const call = (address: string, name: string, prefix = '') =>
    Object.values(addressFor(address, name, prefix)).join(' ');
  assert.equal(call('https://0.0.0.0:5000', 'a.test'), 'a.test:5000 https://a.test:5000');
  assert.equal(call('https://0.0.0.0:443', 'a.test'), 'a.test https://a.test');
  assert.equal(call('http://[::]:5000', '::1', '/p'), '[::1]:5000 http://[::1]:5000/p');
  assert.equal(call('/run/a.sock', 'a.test'), '/run/a.sock /run/a.sock');
});

test('the name that is shown is one that image names may begin with, where there is one', () => {
  assert.equal(nameToShow([]), 'localhost');
  assert.equal(nameToShow(['::1']), 'localhost');
  assert.equal(nameToShow(['2001:db8::1', 'a.test', 'b.test']), 'a.test');
  assert.equal(nameToShow(['2001:db8::1']), '2001:db8::1');
});

describe('what is shown of a registry that is ready', () => {
  const facts = {
    url: 'https://localhost:5000',
    host: 'localhost:5000',
    config: '/d/config.yml',
    ca: '/d/certs/ca.crt',
    users: { name: 'admin', password: 'secret' },
    startedInMs: 5,
  } as const;

  test('is the password of a user that was just made, and where others are', () => {
    assert.match(welcome(facts), /User +admin\n +Password +secret {3}\(shown this once\)/);
    const later = welcome({ ...facts, users: { file: '/d/auth/htpasswd' } });
    assert.match(later, /Users +\/d\/auth\/htpasswd/);
    assert.doesNotMatch(later, /Password /);
    const open = welcome({ ...facts, users: undefined });
    assert.doesNotMatch(open, /docker login|Users? /);
  });

  test('is an authority only where it is ours, and clients only where they can reach it', () => {
    assert.match(welcome(facts), /CA certificate +\/d\/certs\/ca\.crt/);
    assert.doesNotMatch(welcome({ ...facts, ca: undefined }), /CA|certs/);
    const socket = welcome({ ...facts, url: '/run/a.sock', host: '/run/a.sock', ca: undefined });
    assert.match(socket, /ready at \/run\/a\.sock/);
    assert.doesNotMatch(socket, /docker/);
  });
});
