import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { createInternalClient } from '#libs/internal/client.ts';
import { followInstances, type Instances } from '#libs/internal/instances.ts';
import { freePort } from '../support/free-port.ts';
import { resolveTo } from '../support/hosts-file.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { mustRun } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const name = 'cores.portcullis.test';

describe('the processes behind a name', () => {
  const servers: Server[] = [];
  let instances: Instances | undefined;

  afterEach(async () => {
    instances?.close();
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
    resolveTo(name);
  });

  async function serve(host: string, port: number, server = createServer()): Promise<Server> {
    server.on('request', (_, response) => response.end(host));
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    servers.push(server);
    return server;
  }

  const names = () => instances?.all().map((instance) => instance.name) ?? [];

  test('are followed as it stands for others', async () => {
    const port = await freePort();
    await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4'].map((host) => serve(host, port)));
    resolveTo(name, '127.0.0.2', '127.0.0.3');
    const { log } = createRecordingLog();
    const addresses = [{ kind: 'tcp', host: name, port, tls: false } as const];
    instances = await followInstances({ addresses, kind: 'core', log });
    assert.deepEqual(names(), [`127.0.0.2:${port}`, `127.0.0.3:${port}`]);
    const client = createInternalClient({ instances, signer: undefined });
    const answers = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      answers.add((await client.call({ method: 'GET', path: '/', timeout: 1000 })).body);
    }
    assert.deepEqual(answers, new Set(['127.0.0.2', '127.0.0.3']));
    resolveTo(name, '127.0.0.3', '127.0.0.4');
    await waitFor('the name to be asked again', () => names().includes(`127.0.0.4:${port}`));
    assert.deepEqual(names(), [`127.0.0.3:${port}`, `127.0.0.4:${port}`]);
    // A name that cannot be resolved for a while keeps what it stood for.
    resolveTo(name);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.equal(names().length, 2);
  });

  test('end what they have when the name does not stand for them any more, unless they stop answering', async () => {
    const port = await freePort();
    const [, second] = await Promise.all(['127.0.0.2', '127.0.0.3'].map((one) => serve(one, port)));
    resolveTo(name, '127.0.0.2', '127.0.0.3');
    const { log } = createRecordingLog();
    const addresses = [{ kind: 'tcp', host: name, port, tls: false } as const];
    instances = await followInstances({ addresses, kind: 'core', log });
    const leaving = instances.all()[1];
    assert.ok(leaving);
    leaving.inFlight = 1;
    resolveTo(name, '127.0.0.2');
    await waitFor('the name to be asked again', () => names().length === 1);
    assert.equal(leaving.down.signal.aborted, false);
    resolveTo(name, '127.0.0.2', '127.0.0.3');
    await waitFor('it to be back', () => instances?.all().includes(leaving) === true);
    resolveTo(name, '127.0.0.2');
    await waitFor('it to leave again', () => names().length === 1);
    // It accepts connections, and says nothing any more.
    second?.removeAllListeners('request');
    await waitFor('its requests to be given up', () => leaving.down.signal.aborted);
  });

  test('get no requests while they do not answer, and get them again', async () => {
    const port = await freePort();
    const [first] = await Promise.all([serve('127.0.0.2', port), serve('127.0.0.3', port)]);
    const { log, messages } = createRecordingLog();
    const addresses = ['127.0.0.2', '127.0.0.3'].map(
      (host) => ({ kind: 'tcp', host, port, tls: false }) as const,
    );
    instances = await followInstances({ addresses, kind: 'core', log });
    const client = createInternalClient({ instances, signer: undefined });
    const ask = async () => (await client.call({ method: 'GET', path: '/', timeout: 1000 })).body;
    first?.closeAllConnections();
    first?.close();
    for (let round = 0; round < 10; round += 1) assert.equal(await ask(), '127.0.0.3');
    await waitFor('it to be said', () => messages().some((line) => line.includes('for now')));
    await serve('127.0.0.2', port);
    await waitFor('it to be asked again', async () => (await ask()) === '127.0.0.2');
    assert.ok(messages().some((line) => line.includes('ready again')));
  });

  test('prove who they are by the name that is configured', async () => {
    await using folder = await createTemporaryFolder();
    const certificates = join(folder.path, 'certs');
    await mustRun(launcher, ['certs', certificates, name]);
    const read = (file: string) => readFile(join(certificates, file), 'utf8');
    const [ca, cert, key] = await Promise.all(['ca.crt', 'site.crt', 'site.key'].map(read));
    const port = await freePort();
    await serve('127.0.0.2', port, createHttpsServer({ cert, key }));
    resolveTo(name, '127.0.0.2');
    const { log } = createRecordingLog();
    const ask = async (host: string) => {
      const addresses = [{ kind: 'tcp', host, port, tls: true } as const];
      instances?.close();
      instances = await followInstances({ addresses, kind: 'core', ca: [ca ?? ''], log });
      const client = createInternalClient({ instances, signer: undefined });
      return (await client.call({ method: 'GET', path: '/', timeout: 1000 })).body;
    };
    assert.equal(await ask(name), '127.0.0.2');
    await assert.rejects(ask('127.0.0.2'), /altname|does not match/i);
  });
});
