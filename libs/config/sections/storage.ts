import { resolve } from 'node:path';
import { z } from 'zod';
import { nearestWord } from '../../values/nearest-word.ts';
import { count, duration, flag, notEmpty, secret, text } from '../../values/schema.ts';
import type { SupportRow } from '../support-row.ts';

const filesystem = z.object({
  rootdirectory: notEmpty(
    text
      .default('/var/lib/registry')
      .describe('Folder of the tree, as the original registry has it.'),
    'name a folder, or leave the key out for /var/lib/registry',
  ),
  maxthreads: count(0, 1_000_000).optional(),
});

const s3 = z.looseObject({
  accesskey: secret.optional(),
  secretkey: secret.optional(),
  region: text.optional(),
  regionendpoint: text.optional(),
  bucket: text.optional(),
  rootdirectory: text.optional(),
});

const swift = z.looseObject({
  authurl: text.optional(),
  username: text.optional(),
  password: secret.optional(),
  container: text.optional(),
  secretkey: secret.optional(),
  accesskey: secret.optional(),
  tempurlcontainerkey: secret.optional(),
});

const azure = z.looseObject({
  accountname: text.optional(),
  accountkey: secret.optional(),
  container: text.optional(),
  connectionstring: secret.optional(),
});

const gcs = z.looseObject({ bucket: text.optional(), credentials: secret.optional() });
const oss = z.looseObject({ accesskeysecret: secret.optional() });

/** Every storage driver of distribution 2.8 and 3; which ones we have is told by the support table. */
export const storageDrivers = {
  filesystem,
  inmemory: z.object({}),
  s3,
  swift,
  azure,
  gcs,
  oss,
} as const;

export const storageSchema = z.object({
  filesystem: filesystem.nullable().optional(),
  inmemory: z.object({}).nullable().optional().describe('Keeps everything in memory, for trials.'),
  s3: s3.nullable().optional(),
  swift: swift.nullable().optional(),
  azure: azure.nullable().optional(),
  gcs: gcs.nullable().optional(),
  oss: oss.nullable().optional(),
  delete: z
    .object({
      enabled: flag.default(false).describe('Whether manifests, tags and blobs can be deleted.'),
    })
    .prefault({}),
  redirect: z
    .object({
      disable: flag.default(false).describe('Read; clients are never sent elsewhere for blobs.'),
    })
    .optional(),
  cache: z
    .object({
      blobdescriptor: text.optional(),
      layerinfo: text.optional(),
      blobdescriptorsize: count(0, 1_000_000_000).optional(),
    })
    .optional(),
  tag: z.object({ concurrencylimit: count(0, 1_000_000).optional() }).optional(),
  maintenance: z
    .object({
      uploadpurging: z
        .object({
          enabled: flag.default(true).describe('Whether abandoned uploads are removed.'),
          age: duration('1s', '876000h')
            .default(168 * 3_600_000)
            .describe('How long an upload may be open before it is.'),
          interval: duration('1s', '8760h')
            .default(24 * 3_600_000)
            .describe('How often they are looked for.'),
          dryrun: flag.default(false).describe('Whether they are only counted and logged.'),
        })
        .prefault({}),
      readonly: z
        .object({
          enabled: flag
            .default(false)
            .describe('Whether every change is refused; collections and purges rest.'),
        })
        .prefault({}),
    })
    .prefault({}),
});

type Section = z.infer<typeof storageSchema>;

/** Where everything is kept, and what may be done with it. */
export interface StorageSettings {
  storage: { driver: 'filesystem'; root: string } | { driver: 'inmemory' };
  deleteEnabled: boolean;
  /** Nothing is written, and no other core is in the way. */
  readOnly: boolean;
  /** Abandoned uploads: how old, how often, in ms; undefined leaves them. */
  uploadPurging: { age: number; interval: number; dryRun: boolean } | undefined;
}

/** The folder of the tree, absolute; that of the original where none is named. */
export function storageRoot(filesystem: Section['filesystem']): string {
  return resolve(filesystem?.rootdirectory ?? '/var/lib/registry');
}

export function storageSettings({ filesystem, delete: deletes, maintenance }: Section) {
  const { uploadpurging, readonly } = maintenance;
  const { age, interval, dryrun } = uploadpurging;
  return {
    storage: filesystem
      ? { driver: 'filesystem', root: storageRoot(filesystem) }
      : { driver: 'inmemory' },
    deleteEnabled: deletes.enabled,
    readOnly: readonly.enabled,
    uploadPurging: uploadpurging.enabled ? { age, interval, dryRun: dryrun } : undefined,
  } satisfies StorageSettings;
}

/**
 * What is wrong with the choice of the driver.
 * @param written the section as it was written
 */
export function checkDriver(storage: Section, written: unknown): string[] {
  const names = Object.keys(storageDrivers) as (keyof typeof storageDrivers)[];
  const chosen = names.filter((name) => storage[name] !== undefined);
  if (chosen.length > 1) {
    return [`storage: several drivers are named (${chosen.join(', ')}); keep one`];
  }
  if (chosen.length === 1) return [];
  const meant = Object.keys(Object(written)).flatMap((key) => {
    const near = Object.hasOwn(storageSchema.shape, key) ? undefined : nearestWord(key, names);
    return near === undefined ? [] : [`; ${key}: did you mean ${near}?`];
  });
  return [`storage: name one driver, such as filesystem${meant.join('')}`];
}

const instead = 'use storage.filesystem, or stay with the original registry for this one';

export const storageSupport: readonly SupportRow<Section>[] = [
  ['storage.s3', 'stop', `the s3 driver is not built yet; ${instead}`, ({ s3 }) => s3],
  ['storage.swift', 'stop', `the swift driver is not built yet; ${instead}`, ({ swift }) => swift],
  ['storage.azure', 'stop', `there is no azure driver; ${instead}`, ({ azure }) => azure],
  ['storage.gcs', 'stop', `there is no gcs driver; ${instead}`, ({ gcs }) => gcs],
  ['storage.oss', 'stop', `there is no oss driver; ${instead}`, ({ oss }) => oss],
  [
    'storage.cache',
    'note',
    'there is no descriptor cache: storage itself is asked',
    ({ cache }) => cache,
  ],
  ['storage.tag', 'warn', 'look-ups of tags have no limit to set', ({ tag }) => tag],
  [
    'storage.filesystem.maxthreads',
    'warn',
    'set UV_THREADPOOL_SIZE for the process instead',
    ({ filesystem }) => filesystem?.maxthreads,
  ],
  [
    'storage.inmemory',
    'warn',
    'everything stored is lost when the core stops',
    ({ inmemory }) => inmemory,
  ],
];
