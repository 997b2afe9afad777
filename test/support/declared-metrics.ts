import Koa from 'koa';
import { measureInstances } from '#libs/hop/measure-instances.ts';
import { measureRequests } from '#libs/http/measure-requests.ts';
import { createSelfReport } from '#libs/http/self-report.ts';
import { joinReports } from '#libs/http/whole-report.ts';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { measureRedis } from '#libs/redis/measure-redis.ts';
import { measureTokens } from '../../services/auth/api/measure-tokens.ts';
import { countRefusals } from '../../services/auth/identities/count-refusals.ts';
import { measureCollections } from '../../services/core/measure-collections.ts';
import { measureDisk } from '../../services/core/measure-disk.ts';
import { createEmbeddedSessionStore } from '../../services/core/sessions/embedded.ts';
import { measureSessions } from '../../services/core/sessions/measured.ts';
import { measureStorage } from '../../services/core/storage/measured.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { parseExposition } from './exposition.ts';

/** The names of everything that our processes measure, from where it is declared. */
export async function declaredNames(): Promise<ReadonlySet<string>> {
  const metrics = createMetrics({ process: 'test', version: 'test' });
  const report = joinReports({ process: 'test', report: createSelfReport(metrics) }, []);
  new Koa().use(measureRequests(metrics, () => undefined));
  measureTokens(metrics);
  countRefusals(metrics);
  measureCollections(metrics);
  measureDisk({ driver: 'filesystem', root: '/' }, metrics);
  measureSessions(createEmbeddedSessionStore(), metrics);
  measureStorage(createMemoryDriver(), metrics);
  measureRedis({ up: true }, metrics);
  measureInstances({}, metrics);
  return parseExposition((await report.expose?.()) ?? '').names;
}
