/**
 * What a page of 100 costs in large listings, as a ratio to the same page in small ones, in one run:
 * of 50 000 tags to 200, and of 100 000 repositories to 200; medians, of a core in this process, without TLS.
 */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '#libs/oci/digest.ts';
import { createFilesystemDriver } from '../../../services/core/storage/filesystem/filesystem.ts';
import { startCore } from '../../support/core.ts';
import { createTemporaryFolder } from '../../support/temporary-folder.ts';

const digest = digestOf(Buffer.from('x'));
const pages = 60;
const pageSize = 100;

const numbered = (count: number) =>
  Array.from({ length: count }, (_, index) => `n${String(index).padStart(6, '0')}`);

function make(parent: string, count: number, folder: string, text: string): void {
  for (const name of numbered(count)) {
    const path = join(parent, name, folder);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'link'), text);
  }
  // As if nobody had pushed for a minute.
  const past = new Date(Date.now() - 60_000);
  utimesSync(parent, past, past);
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;

interface Cost {
  /** Milliseconds of the first page, which reads the directory. */
  first: number;
  /** Median of those from random places. */
  page: number;
}

async function measure(kind: 'tags' | 'repositories', count: number): Promise<Cost> {
  const folder = await createTemporaryFolder();
  try {
    const repositories = join(folder.path, 'docker/registry/v2/repositories');
    const tags = join(repositories, 'app/_manifests/tags');
    if (kind === 'tags') make(tags, count, 'current', digest);
    else make(repositories, count, `_layers/sha256/${'0'.repeat(64)}`, digest);
    const core = await startCore({ driver: await createFilesystemDriver(folder.path) });
    const path = kind === 'tags' ? '/v2/app/tags/list' : '/v2/_catalog';
    const ask = async (last: string) => {
      const began = performance.now();
      const { status, text } = await core.send('GET', `${path}?n=${pageSize}&last=${last}`);
      const took = performance.now() - began;
      const { [kind]: names } = JSON.parse(text) as Record<string, string[]>;
      if (status !== 200 || names?.length !== pageSize) throw new Error(`${status} ${text}`);
      return took;
    };
    const names = numbered(count - pageSize);
    const anywhere = () => names[Math.floor(Math.random() * (names.length - 1))] ?? '';
    const first = await ask(anywhere());
    const taken: number[] = [];
    for (let index = 0; index < pages; index += 1) taken.push(await ask(anywhere()));
    await core.close();
    return { first, page: median(taken) };
  } finally {
    await folder.remove();
  }
}

export interface ListingCost {
  kind: 'tags' | 'repositories';
  many: number;
  /** Of a page of many to one of few. */
  ratio: number;
  /** Milliseconds of a page of many, of one of few, and of the first of many, which reads the folder. */
  page: number;
  ofFew: number;
  first: number;
}

/** What a page costs in large listings and in small ones. */
export async function measureListings(): Promise<ListingCost[]> {
  const costs: ListingCost[] = [];
  for (const [kind, many] of [
    ['tags', 50_000],
    ['repositories', 100_000],
  ] as const) {
    const few = await measure(kind, 200);
    const { page, first } = await measure(kind, many);
    costs.push({ kind, many, ratio: page / few.page, page, ofFew: few.page, first });
  }
  return costs;
}
