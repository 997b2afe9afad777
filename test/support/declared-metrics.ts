import Koa from 'koa';
import { aggregateStatus } from '#libs/http/aggregate-status.ts';
import { measureRequests } from '#libs/http/measure-requests.ts';
import { createProcessStatus } from '#libs/http/process-status.ts';
import { measureInstances } from '#libs/internal/measure-instances.ts';
import { measureBudgets } from '#libs/limits/measure-budgets.ts';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { countRejections } from '#libs/process/survive-rejections.ts';
import { measureRedis } from '#libs/redis/measure-redis.ts';
import { measureTokens } from '../../services/auth/api/measure-tokens.ts';
import { measureLogins } from '../../services/auth/measure-logins.ts';
import { measureDisk } from '../../services/core/measure-disk.ts';
import { measureWrites } from '../../services/core/measure-writes.ts';
import { createEmbeddedSessionStore } from '../../services/core/sessions/embedded.ts';
import { countTakeovers, measureSessions } from '../../services/core/sessions/measured.ts';
import { measureStorage } from '../../services/core/storage/measured.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { measureCollections } from '../../services/core/upkeep/measure-collections.ts';
import { parseExposition } from './exposition.ts';

/** The names of everything that our processes measure, from where it is declared. */
export async function declaredNames(): Promise<ReadonlySet<string>> {
  const metrics = createMetrics({ process: 'test', version: 'test' });
  const processStatus = aggregateStatus(
    { process: 'test', processStatus: createProcessStatus(metrics) },
    [],
  );
  new Koa().use(measureRequests(metrics, () => undefined));
  measureTokens(metrics);
  measureLogins(metrics);
  measureCollections(metrics);
  measureDisk({ driver: 'filesystem', root: '/' }, metrics);
  measureSessions(createEmbeddedSessionStore(), metrics);
  countTakeovers(metrics);
  measureStorage(createMemoryDriver(), metrics);
  measureBudgets([], metrics);
  countRejections(metrics);
  measureWrites(metrics, () => []);
  measureRedis({ up: true }, metrics);
  measureInstances({}, metrics);
  return parseExposition((await processStatus.expose?.()) ?? '').names;
}
