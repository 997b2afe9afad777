import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { type DockerEngine, startDockerEngine } from '../support/docker-engine.ts';
import { freePort } from '../support/free-port.ts';
import { resolveTo } from '../support/hosts-file.ts';
import { mustRun, run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, type Stack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const host = 'proxied.portcullis.test';

describe('behind an nginx that ends TLS and forwards /v2 alone', () => {
  let stack: Stack;
  let nginx: ChildProcess;
  let engine: DockerEngine;
  let registry: string;
  let certificates: string;

  before(async () => {
    resolveTo(host, '127.0.0.1');
    stack = await startConfigured({
      users: { admin: 'open sesame' },
      sections: () => ({
        portcullis: {
          gateway: { trustedproxies: ['127.0.0.1'] },
          acl: [{ match: { account: 'admin' }, actions: ['*'] }],
        },
      }),
    });
    certificates = join(stack.dir, 'certs');
    await mustRun(launcher, ['certs', certificates, host]);
    const port = await freePort();
    registry = `${host}:${port}`;
    nginx = await startNginx(join(stack.dir, 'nginx'), port, stack.port, certificates);
    engine = await startDockerEngine();
    await engine.trust(registry, join(certificates, 'ca.crt'));
  });

  after(async () => {
    await engine?.stop();
    nginx?.kill('SIGTERM');
    await stack?.remove();
    resolveTo(host);
  });

  test('docker logs in, pushes and pulls', async () => {
    const login = ['login', '--username', 'admin', '--password-stdin', registry];
    await engine.mustDocker(login, { input: 'open sesame' });
    const image = `${registry}/team/app:v1`;
    await engine.buildImage(image, [2_000_000, 1000]);
    const digest = /digest: (sha256:\S+)/.exec(await engine.mustDocker(['push', image]))?.[1] ?? '';
    assert.notEqual(digest, '');
    await engine.mustDocker(['image', 'rm', image]);
    assert.match(await engine.mustDocker(['pull', image]), new RegExp(digest));
  });

  test('the realm is https and below /v2, and the log names the real client', async () => {
    const answer = await mustRun('curl', [
      ...['-sS', '-i', '--cacert', join(certificates, 'ca.crt')],
      ...['-H', 'X-Forwarded-For: 203.0.113.9', `https://${registry}/v2/`],
    ]);
    assert.match(answer, new RegExp(`realm="https://${registry}/v2/_token"`));
    // The hop the proxy added counts; what the client claims to stand before it does not.
    assert.match(stack.output(), /client=127\.0\.0\.1/);
  });
});

async function startNginx(
  dir: string,
  port: number,
  upstream: number,
  certificates: string,
): Promise<ChildProcess> {
  await mkdir(join(dir, 'tmp'), { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${dir}/tmp/${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certificates}/site.crt;
    ssl_certificate_key ${certificates}/site.key;
    client_max_body_size 0;
    location /v2 {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_request_buffering off;
    }
    location / { return 404; }
  }
}
`;
  await writeFile(join(dir, 'nginx.conf'), config);
  const nginx = spawn('/usr/sbin/nginx', ['-c', join(dir, 'nginx.conf')], { stdio: 'inherit' });
  await waitFor('nginx', async () => {
    const { code } = await run('curl', ['-sk', '-o', '/dev/null', `https://127.0.0.1:${port}/`]);
    return code === 0;
  });
  return nginx;
}
