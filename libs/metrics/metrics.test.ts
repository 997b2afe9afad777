import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExposition } from '../../test/support/exposition.ts';
import { mergeExpositions } from './merge-expositions.ts';
import { createMetrics } from './metrics.ts';

const version = '1.2.3';

test('every series says which process it is about, those of the runtime too', async () => {
  const metrics = createMetrics({ process: 'core', version });
  metrics.counter('portcullis_things_total', 'Things', ['kind']).inc({ kind: 'a "b"\\' }, 2);
  const scraped = parseExposition(await metrics.expose());
  assert.equal(scraped.value('portcullis_things_total', { kind: 'a "b"\\', process: 'core' }), 2);
  assert.equal(scraped.value('portcullis_build_info', { version, process: 'core' }), 1);
  assert.ok((scraped.value('process_resident_memory_bytes', { process: 'core' }) ?? 0) > 1e6);
  for (const { labels } of scraped.samples) assert.equal(labels.process, 'core');
});

test('a gauge and a counter may be looked up when somebody asks', async () => {
  const metrics = createMetrics({ process: 'core', version });
  let asked = 0;
  metrics.gauge('portcullis_asked', 'Asked', [], async (gauge) => {
    asked += 1;
    gauge.set(asked);
  });
  metrics.counter('portcullis_asked_total', 'Asked', [], (counter) => counter.inc(10));
  await metrics.expose();
  const scraped = parseExposition(await metrics.expose());
  assert.equal(scraped.value('portcullis_asked'), 2);
  assert.equal(scraped.value('portcullis_asked_total'), 20);
});

test('of several processes one exposition is made, each metric in one piece', async () => {
  const texts: string[] = [];
  for (const process of ['gateway', 'core']) {
    const metrics = createMetrics({ process, version });
    metrics.counter('portcullis_things_total', 'Things').inc(process.length);
    metrics.counter(`portcullis_${process}_total`, 'Its own').inc();
    metrics.histogram('portcullis_waits_seconds', 'Waits', [], [0.1, 1]).observe(0.5);
    texts.push(await metrics.expose());
  }
  const merged = mergeExpositions(texts);
  // The parser refuses a metric that is in two pieces, or a series that comes twice.
  const scraped = parseExposition(merged);
  assert.equal(scraped.value('portcullis_things_total', { process: 'gateway' }), 7);
  assert.equal(scraped.value('portcullis_things_total', { process: 'core' }), 4);
  assert.equal(scraped.value('portcullis_waits_seconds_bucket', { process: 'core', le: '1' }), 1);
  assert.equal(scraped.value('portcullis_core_total'), 1);
  assert.equal(scraped.value('portcullis_gateway_total'), 1);
  assert.throws(() => parseExposition(texts.join('\n')), /in two pieces|twice/);
});
