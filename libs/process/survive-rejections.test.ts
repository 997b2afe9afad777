import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../test/support/run.ts';

const path = (name: string) => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));

async function runScript(script: string) {
  return await run(process.execPath, ['--input-type=module', '--eval', script]);
}

const prepared = `
  import { createMetrics } from ${path('../metrics/metrics.ts')};
  import { createLogger } from ${path('../log/logger.ts')};
  import { countRejections, surviveRejections } from ${path('survive-rejections.ts')};
  const metrics = createMetrics({ process: 'test', version: '1' });
  const log = createLogger({ level: 'info', format: 'json', fields: {}, process: 'test' });
  surviveRejections(log, countRejections(metrics));
`;

test('a rejection that nobody waited for is logged, counted and survived', async () => {
  const { code, stdout } = await runScript(`${prepared}
    void Promise.reject(new Error('forgotten'));
    setTimeout(async () => {
      const [line] = (await metrics.expose()).match(/^portcullis_unexpected_rejections_total.*$/m);
      console.log(line);
    }, 1);
  `);
  assert.equal(code, 0);
  assert.match(stdout, /"level":"error".*forgotten.*unexpected: a rejection/);
  assert.match(stdout, /^portcullis_unexpected_rejections_total\{process="test"\} 1$/m);
});

test('an exception that nobody caught ends the process', async () => {
  const { code } = await runScript(`${prepared} setTimeout(() => { throw new Error('odd'); }, 1);`);
  assert.notEqual(code, 0);
});
