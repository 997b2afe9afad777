import assert from 'node:assert/strict';
import { digestParts } from '#libs/oci/digest.ts';
import type { StorageDriver } from '../../../services/core/storage/driver.ts';
import {
  type Core,
  type CoreSetup,
  pushBlob,
  pushManifest,
  type Received,
  type Sent,
  startCore,
} from '../../support/core.ts';
import type { Fixture } from '../../support/images.ts';
import type { BlobSet, ObjectSet } from './data-sets.ts';

/** Where one case is played: a registry, and a repository that no other case uses. */
export interface RepositoryFixture {
  core: Core;
  driver: StorageDriver;
  /** The repository. */
  name: string;
  /** A request below the repository, or anywhere if the path starts with a slash. */
  send(method: string, path: string, sent?: Sent): Promise<Received>;
  /** Pushes an object's parts and its root, by digest or under a tag, and gives the last answer. */
  push(object: ObjectSet, tag?: string): Promise<Received>;
  /**
   * A repository that has this, manifests by digest and under their tags. Other cases use it too, so
   * it must be left as it is.
   */
  holding(data: ObjectSet | BlobSet): Promise<RepositoryFixture>;
  /** Pushes the root of an object alone, under its own type unless another is given. */
  put(object: ObjectSet, reference?: string, type?: string): Promise<Received>;
  /** Pushes a blob in one request. */
  pushBlob(blob: Fixture): Promise<Received>;
  /** Opens an upload session and gives its address. */
  open(blob?: Fixture): Promise<string>;
  /** The same repository served by a core that is set up otherwise. */
  servedBy(setup: Omit<CoreSetup, 'driver'>): Promise<RepositoryFixture>;
}

/** The name of a repository that has this. */
export type SharedRepositories = (data: ObjectSet | BlobSet) => Promise<string>;

export interface RepositoryFixtureOptions {
  core: Core;
  driver: StorageDriver;
  name: string;
  shared: SharedRepositories;
  /** Called with what must be closed after the case. */
  closeLater(core: Core): void;
}

export function createRepositoryFixture(options: RepositoryFixtureOptions): RepositoryFixture {
  const { core, driver, name, shared, closeLater } = options;
  const fixture: RepositoryFixture = {
    core,
    driver,
    name,
    holding: async (data) => createRepositoryFixture({ ...options, name: await shared(data) }),
    send: (method, path, sent) =>
      core.send(method, path.startsWith('/') ? path : `/v2/${name}/${path}`, sent),

    async push({ blobs, parts, root }, tag) {
      for (const blob of blobs) expectStatus(await pushBlob(core, name, blob), 201);
      for (const part of parts) expectStatus(await pushManifest(core, name, part), 201);
      const answer = await pushManifest(core, name, root, tag);
      expectStatus(answer, 201);
      return answer;
    },

    put: ({ root }, reference, type = root.descriptor.mediaType) =>
      pushManifest(core, name, root, reference, { 'Content-Type': type }),

    async pushBlob(blob) {
      const answer = await pushBlob(core, name, blob);
      expectStatus(answer, 201);
      return answer;
    },

    async open(blob) {
      const { algorithm } = blob ? digestParts(blob.descriptor.digest) : { algorithm: 'sha256' };
      const query = algorithm === 'sha256' ? '' : `?digest-algorithm=${algorithm}`;
      const answer = await fixture.send('POST', `blobs/uploads/${query}`);
      expectStatus(answer, 202);
      return locationOf(answer);
    },

    async servedBy(setup) {
      const other = await startCore({ driver, ...setup });
      closeLater(other);
      return createRepositoryFixture({ ...options, core: other });
    },
  };
  return fixture;
}

/** Stocks the repositories that cases share, one for each data set that is asked for. */
export function shareRepositories(at: (name: string) => RepositoryFixture): SharedRepositories {
  const shared = new Map<ObjectSet | BlobSet, Promise<string>>();
  const stock = async (data: ObjectSet | BlobSet, name: string) => {
    const fixture = at(name);
    if ('root' in data) {
      await fixture.push(data);
      for (const tag of data.tags ?? ['v1']) expectStatus(await fixture.put(data, tag), 201);
    } else {
      await fixture.pushBlob(data);
    }
    return name;
  };
  return (data) => {
    const stocked = shared.get(data) ?? stock(data, `shared-${shared.size}/app`);
    shared.set(data, stocked);
    return stocked;
  };
}

/** Asserts the status, and for a refusal the code of its one error. */
export function expectStatus(answer: Received, status: number, code?: string): void {
  if (answer.status === status && code === undefined && status < 400) return;
  const expected = code === undefined ? [status] : [status, code];
  assert.deepEqual([answer.status, ...answer.codes], expected, answer.text.slice(0, 500));
}

/** Where an answer points, as a path of this registry. */
export function locationOf({ headers }: Received): string {
  assert.ok(headers.location, 'there is a Location');
  const { pathname, search } = new URL(headers.location, 'http://registry.test');
  return pathname + search;
}

/** An address with one more parameter: an upload's own parameters must stay. */
export function withQuery(location: string, key: string, value: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}${key}=${encodeURIComponent(value)}`;
}

/** Asserts that a Location can be pulled from, and gives these bytes. */
export async function expectPullable({ core }: RepositoryFixture, answer: Received, bytes: Buffer) {
  const pulled = await core.send('GET', locationOf(answer));
  expectStatus(pulled, 200);
  assert.ok(pulled.body.equals(bytes), 'what is pulled is what was pushed');
}

/** Asserts that nothing is found there, by GET or HEAD. */
export async function expectAbsent(fixture: RepositoryFixture, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    assert.equal((await fixture.send('GET', path)).status, 404, path);
    assert.equal((await fixture.send('HEAD', path)).status, 404, path);
  }
}

/** The address of the next page (RFC 8288); undefined on the last. */
export function nextPageOf({ headers }: Received): string | undefined {
  if (headers.link === undefined) return undefined;
  const match = /^<([^>]+)>; *rel="?next"?$/.exec(String(headers.link));
  assert.ok(match?.[1], `a Link to the next page: ${String(headers.link)}`);
  const { pathname, search } = new URL(match[1], 'http://registry.test');
  return pathname + search;
}

/** All pages from this one on. */
export async function pagesFrom(fixture: RepositoryFixture, path: string): Promise<Received[]> {
  const pages: Received[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const page: Received = await fixture.send('GET', next);
    expectStatus(page, 200);
    pages.push(page);
    assert.ok(pages.length < 100, 'the pages come to an end');
    next = nextPageOf(page);
  }
  return pages;
}

export function jsonOf<T>({ text }: Received): T {
  return JSON.parse(text) as T;
}
