import { z } from 'zod';
import { count } from '../../values/schema.ts';

/** As in the original, 0 is the usual number. */
const page = count(0, 1_000_000).optional();

export const catalogSchema = z.object({
  maxentries: page.describe(
    'Largest page of the catalog; without it, or with 0, portcullis.pagesize.',
  ),
});

export const tagsSchema = z.object({
  maxtags: page.describe('Largest page of a tag list; without it, or with 0, portcullis.pagesize.'),
});

export const pageSizeSchema = count(1, 1_000_000)
  .default(1000)
  .describe('Largest page of the catalog and of a tag list.');

/** Entries of the largest page. */
export interface PageSizes {
  catalog: number;
  tags: number;
}

export function pageSizes(
  catalog: z.infer<typeof catalogSchema> | undefined,
  tags: z.infer<typeof tagsSchema> | undefined,
  usual: number,
): PageSizes {
  return { catalog: catalog?.maxentries || usual, tags: tags?.maxtags || usual };
}
