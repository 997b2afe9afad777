import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfiguration } from './load-configuration.ts';

const load = (portcullis: string, env = {}) =>
  parseConfiguration(
    { path: 'c.yml', text: `{ version: "0.1", storage: inmemory, portcullis: ${portcullis} }` },
    env,
  );

describe('a key that had another name in earlier versions', () => {
  test('is read under that name, and a remark gives the present one', async () => {
    const { configuration, diagnostics } = await load('{ hop: { rootcas: [/a.pem] } }');
    assert.deepEqual(configuration.portcullis.internal.rootcas, ['/a.pem']);
    const messages = diagnostics.map(({ message }) => message);
    assert.ok(
      messages.includes('portcullis.hop: is called portcullis.internal now'),
      `${messages}`,
    );
  });

  test('is read from the environment', async () => {
    const former = { REGISTRY_PORTCULLIS_HOP_CERTIFICATE: '/a.crt' };
    const { configuration, diagnostics } = await load('{}', former);
    assert.equal(configuration.portcullis.internal.certificate, '/a.crt');
    assert.match(`${diagnostics[0]?.message}`, /^REGISTRY_PORTCULLIS_HOP_CERTIFICATE: is called/);
    const both = { ...former, REGISTRY_PORTCULLIS_INTERNAL_CERTIFICATE: '/b.crt' };
    await assert.rejects(load('{}', both), /HOP_CERTIFICATE: is called .*, which is set too/);
  });

  test('is refused beside the present one', async () => {
    await assert.rejects(
      load('{ hop: {}, internal: {} }'),
      /c\.yml: portcullis\.hop: is called portcullis\.internal now, which is there too/,
    );
  });
});
