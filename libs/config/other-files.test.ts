import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfiguration, parseConfiguration } from './load-configuration.ts';

describe('a file that is no configuration of ours is one clear sentence', () => {
  const cases: readonly [text: string, message: RegExp][] = [
    ['{ server: { addr: x }, token: { issuer: y }, users: {} }', /configuration of docker_auth;/],
    [
      '{ distSpecVersion: 1.1.0, storage: { rootDirectory: /x } }',
      /configuration of zot; docs\/mi/,
    ],
    ['{ version: "3.8", services: { registry: {} } }', /configuration of docker compose;/],
    ['{ hostname: x, harbor_admin_password: y }', /configuration of Harbor; docs\/migration\.md/],
    ['{ storage: inmemory }', /version: is missing; a config\.yml begins with version: 0\.1/],
    ['{ version: 0.2, storage: inmemory }', /version: must be 0\.1/],
    ['{ version: 0.1, storage: { filesytem: {} } }', /filesytem: did you mean filesystem\?/],
    ['{ version: 0.1, storage: [a] }', /storage: must be a section with keys below it, not a list/],
    ['{ version: 0.1, storage: inmemory, http: 5000 }', /http: must be a section .*not a number/],
    [
      '{ version: 0.1, storage: inmemory, log: { formatter: xml } }',
      /log\.formatter: must be one of/,
    ],
    [
      '{ version: 0.1, storage: inmemory, auth: { htpasswd: true } }',
      /htpasswd: .*not true or false/,
    ],
  ];
  for (const [text, message] of cases) {
    test(text, async () => {
      await assert.rejects(parseConfiguration({ path: 'c.yml', text }, {}), message);
    });
  }

  test('a folder', async () => {
    await assert.rejects(
      loadConfiguration('/', {}),
      /^ConfigurationError: \/: it is a folder; name/,
    );
  });
});
