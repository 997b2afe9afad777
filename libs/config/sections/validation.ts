import { z } from 'zod';
import { flag, text, textList } from '../../values/schema.ts';
import type { SupportRow } from '../support-row.ts';

export const validationSchema = z.object({
  enabled: flag.optional(),
  disabled: flag
    .optional()
    .describe('Whether any manifest is taken that is one, whatever it refers to.'),
  manifests: z
    .object({
      urls: z.object({ allow: textList.optional(), deny: textList.optional() }).optional(),
      indexes: z
        .object({
          platforms: z
            .enum(['all', 'none', 'list'])
            .optional()
            .describe('Which images of an index must be in the repository.'),
          platformlist: z
            .array(
              z.object({
                architecture: text
                  .optional()
                  .describe('Architecture of an image that must be there, with list.'),
                os: text.optional().describe('Its operating system.'),
              }),
            )
            .optional(),
        })
        .optional(),
    })
    .optional(),
});

type Section = z.infer<typeof validationSchema> | undefined;

/** What a manifest refers to and must find in its repository. */
export interface ReferenceSettings {
  blobs: boolean;
  children: 'all' | 'none' | { os: string; architecture: string }[];
}

/** @throws Error with one clear sentence */
export function referenceSettings(validation: Section): ReferenceSettings {
  if (validation?.disabled === true) return { blobs: false, children: 'none' };
  const { platforms = 'all', platformlist = [] } = validation?.manifests?.indexes ?? {};
  if (platforms !== 'list') return { blobs: true, children: platforms };
  const children = platformlist.map(({ os = '', architecture = '' }) => ({ os, architecture }));
  if (children.length === 0) {
    throw new Error('validation.manifests.indexes: platforms is "list", but platformlist is empty');
  }
  return { blobs: true, children };
}

export const validationSupport: readonly SupportRow<Section>[] = [
  [
    'validation.manifests.urls',
    'stop',
    'URLs of foreign layers are not checked yet',
    (validation) => validation?.manifests?.urls,
  ],
  [
    'validation.enabled',
    'warn',
    'deprecated; validation.disabled is what counts',
    (validation) => validation?.enabled,
  ],
];
