import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuthSettings } from '#libs/config/sections/auth.ts';
import type { Settings } from '#libs/config/settings.ts';
import { planDebug } from './debug-plan.ts';

const shared = { port: 5001 };
const own = { port: 5003 };
const sockets = {
  folder: '/s',
  isAgreed: true,
  auth: '/s/auth.sock',
  core: '/s/core.sock',
  cores: ['/s/core.sock'] as [string],
};
const unix = { listen: { socket: '/s' }, isPrivate: true };
const settings = (debug: Partial<Settings['debug']>, auth?: AuthSettings) => ({
  debug: { shared, own: {}, metricsPath: '/metrics', ...debug },
  auth,
  sockets,
  internal: { core: unix, auth: unix } as Settings['internal'],
});
const withAuth = {} as AuthSettings;

test('under a supervisor the gateway has the address and speaks for the others', () => {
  const gateway = planDebug({ service: 'gateway', worker: 1 }, settings({}, withAuth), true);
  assert.deepEqual(gateway, {
    address: shared,
    setting: 'http.debug.addr',
    measures: true,
    peers: [
      { process: 'auth', socketPath: sockets.auth },
      { process: 'core', socketPath: sockets.core },
    ],
  });
  assert.deepEqual(
    planDebug({ service: 'gateway', worker: 1 }, settings({}), true).peers.map(
      ({ process }) => process,
    ),
    ['core'],
    'an open registry has no auth',
  );
  const core = planDebug({ service: 'core', worker: 1 }, settings({}), true);
  assert.equal(core.address, undefined);
  assert.equal(core.measures, true);
});

test('a process with an address of its own speaks for itself', () => {
  const debug = { own: { core: own } };
  assert.deepEqual(planDebug({ service: 'core', worker: 1 }, settings(debug), true).address, own);
  assert.deepEqual(
    planDebug({ service: 'gateway', worker: 1 }, settings(debug, withAuth), true).peers.map(
      ({ process }) => process,
    ),
    ['auth'],
  );
  const alone = planDebug(
    { service: 'core', worker: 1 },
    settings({ ...debug, shared: undefined }),
    true,
  );
  assert.deepEqual(alone.address, own);
  assert.equal(alone.measures, true);
});

test('a process that runs alone takes its own address or the one for all', () => {
  assert.deepEqual(planDebug({ service: 'core', worker: 1 }, settings({}), false).address, shared);
  assert.deepEqual(
    planDebug({ service: 'core', worker: 1 }, settings({ own: { core: own } }), false).address,
    own,
  );
  const gateway = planDebug({ service: 'gateway', worker: 1 }, settings({}, withAuth), false);
  assert.deepEqual(gateway.address, shared);
  assert.deepEqual(gateway.peers, []);
});

test('without an address, or without prometheus, nothing is measured', () => {
  for (const name of ['gateway', 'auth', 'core'] as const) {
    for (const supervised of [true, false]) {
      const off = planDebug(
        { service: name, worker: 1 },
        settings({ shared: undefined }),
        supervised,
      );
      assert.deepEqual([off.address, off.measures, off.peers], [undefined, false, []]);
      const healthOnly = planDebug(
        { service: name, worker: 1 },
        settings({ metricsPath: undefined }),
        supervised,
      );
      assert.equal(healthOnly.measures, false);
    }
  }
});
