import { z } from 'zod';
import { anything, count, duration, flag, notEmpty, secret, text } from '../../values/schema.ts';

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

export const middlewareSchema = z.record(
  z.string(),
  z.array(z.object({ name: text, disabled: flag.optional(), options: anything.optional() })),
);
