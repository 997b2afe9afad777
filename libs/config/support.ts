import type { Configuration } from './schema/configuration.ts';

/** What we say about a setting that is valid but not ours to fulfil yet. */
export interface Diagnostic {
  /** `stop` where ignoring it would change who may do what, where bytes go or what is answered. */
  level: 'stop' | 'warn' | 'note';
  path: string;
  message: string;
}

type Rule = [
  path: string,
  level: Diagnostic['level'],
  why: string,
  found: (c: Configuration) => unknown,
];

const instead = 'use storage.filesystem, or stay with the original registry for this one';

/** One row for each setting of distribution that we read but do not act on. */
const rules: readonly Rule[] = [
  ['storage.s3', 'stop', `the s3 driver is not built yet; ${instead}`, (c) => c.storage.s3],
  [
    'storage.swift',
    'stop',
    `the swift driver is not built yet; ${instead}`,
    (c) => c.storage.swift,
  ],
  ['storage.azure', 'stop', `there is no azure driver; ${instead}`, (c) => c.storage.azure],
  ['storage.gcs', 'stop', `there is no gcs driver; ${instead}`, (c) => c.storage.gcs],
  ['storage.oss', 'stop', `there is no oss driver; ${instead}`, (c) => c.storage.oss],
  ['proxy', 'stop', 'a pull-through cache is not built yet', (c) => c.proxy?.remoteurl],
  ['middleware', 'stop', 'middleware is not built yet', (c) => hasMiddleware(c)],
  [
    'http.tls.clientcas',
    'stop',
    'client certificates are not checked yet',
    (c) => c.http.tls?.clientcas,
  ],
  ['http.tls.letsencrypt', 'stop', 'certificates are not fetched yet', (c) => hasLetsEncrypt(c)],
  [
    'notifications',
    'stop',
    'events are not sent yet; portcullis.ignore: [notifications] starts without them',
    (c) => hasEndpoints(c),
  ],
  [
    'auth.silly',
    'stop',
    'silly accepts everyone who sends any password; leave auth out for an open registry',
    (c) => c.auth?.silly,
  ],
  [
    'validation.manifests.urls',
    'stop',
    'URLs of foreign layers are not checked yet',
    (c) => c.validation?.manifests?.urls,
  ],
  [
    'policy.repository.classes',
    'stop',
    'repository classes are not known',
    (c) => c.policy?.repository?.classes,
  ],
  [
    'compatibility.schema1.enabled',
    'stop',
    'Docker schema 1 is not accepted',
    (c) => c.compatibility?.schema1?.enabled,
  ],
  [
    'http.tls.minimumtls',
    'warn',
    'TLS 1.2 is the minimum',
    (c) => c.http.tls?.minimumtls === 'tls1.0' || c.http.tls?.minimumtls === 'tls1.1',
  ],
  [
    'http.h2c',
    'warn',
    'HTTP/2 without TLS (h2c) is not supported; clients use HTTP/1.1',
    (c) => c.http.h2c?.enabled,
  ],
  [
    'http.http2',
    'note',
    'HTTP/2 needs http.tls; clients use HTTP/1.1',
    (c) => c.http.http2?.disabled === false && c.http.tls?.certificate === undefined,
  ],
  ['log.hooks', 'warn', 'log hooks are not built yet', (c) => c.log.hooks],
  ['log.reportcaller', 'warn', 'callers are not reported', (c) => c.log.reportcaller],
  ['reporting', 'warn', 'nothing is reported to outside services', (c) => c.reporting],
  [
    'storage.cache',
    'note',
    'there is no descriptor cache: storage itself is asked',
    (c) => c.storage.cache,
  ],
  ['storage.tag', 'warn', 'look-ups of tags have no limit to set', (c) => c.storage.tag],
  [
    'storage.filesystem.maxthreads',
    'warn',
    'set UV_THREADPOOL_SIZE for the process instead',
    (c) => c.storage.filesystem?.maxthreads,
  ],
  [
    'validation.enabled',
    'warn',
    'deprecated; validation.disabled is what counts',
    (c) => c.validation?.enabled,
  ],
  [
    'storage.inmemory',
    'warn',
    'everything stored is lost when the core stops',
    (c) => c.storage.inmemory,
  ],
];

/** The rows without their tests, for the documentation. */
export const supportTable = rules.map(([path, level, why]) => ({ path, level, why }));

/** What of this configuration is not supported; empty values count as absent. */
export function checkSupport(configuration: Configuration): Diagnostic[] {
  return rules
    .filter(([path, , , found]) => {
      const value = found(configuration);
      const waived = (configuration.portcullis.ignore as string[]).includes(path);
      return value !== undefined && value !== null && value !== false && !waived;
    })
    .map(([path, level, why]) => ({ level, path, message: `${path}: ${why}` }));
}

function hasMiddleware(configuration: Configuration): boolean {
  return Object.values(configuration.middleware ?? {}).some((list) =>
    list.some(({ disabled }) => disabled !== true),
  );
}

function hasEndpoints(configuration: Configuration): boolean {
  return (configuration.notifications?.endpoints ?? []).some(({ disabled }) => disabled !== true);
}

function hasLetsEncrypt(configuration: Configuration): boolean {
  const settings = configuration.http.tls?.letsencrypt;
  return settings?.cachefile !== undefined || (settings?.hosts ?? []).length > 0;
}
