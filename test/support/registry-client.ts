import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Digest } from '#libs/oci/digest.ts';
import type { Fixture, ImageFixture } from './images.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The first error's code, for an answer that has one. */
  code: string | undefined;
}

export interface AskOptions {
  headers?: Record<string, string>;
  body?: Buffer | string;
  /** Milliseconds for the whole answer. */
  timeout?: number;
}

export interface RegistryClientOptions {
  url: string;
  /** Path of the CA for https. */
  ca?: string;
  /** `user:password`. */
  credentials?: string;
}

/** A client that shows the bare answers, with Basic credentials. */
export class RegistryClient {
  readonly #url: string;
  readonly #agent: HttpAgent;
  readonly #authorization: string | undefined;

  private constructor(url: string, agent: HttpAgent, credentials: string | undefined) {
    this.#url = url;
    this.#agent = agent;
    this.#authorization =
      credentials === undefined
        ? undefined
        : `Basic ${Buffer.from(credentials).toString('base64')}`;
  }

  static async create({ url, ca, credentials }: RegistryClientOptions): Promise<RegistryClient> {
    const agent =
      ca === undefined
        ? new HttpAgent({ keepAlive: true })
        : new HttpsAgent({ keepAlive: true, ca: await readFile(ca) });
    return new RegistryClient(url, agent, credentials);
  }

  /** @throws Error if there is no whole answer */
  async ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const { body, timeout = 30_000 } = options;
    const headers: Record<string, string> = { ...options.headers };
    if (this.#authorization !== undefined) headers.authorization ??= this.#authorization;
    if (body !== undefined || /^(?:POST|PUT|PATCH)$/.test(method)) {
      headers['content-length'] = String(Buffer.byteLength(body ?? ''));
    }
    const url = new URL(path, this.#url);
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return await new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeout);
      const outgoing = request(url, { method, headers, agent: this.#agent, signal }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () => {
          const whole = Buffer.concat(chunks);
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: whole,
            code: codeOf(whole),
          });
        });
      });
      outgoing.once('error', reject);
      outgoing.end(body);
    });
  }

  /** Opens an upload. @returns its path */
  async startUpload(repository: string): Promise<string> {
    const answer = await this.ask('POST', `/v2/${repository}/blobs/uploads/`);
    if (answer.status !== 202) throw new Error(`POST: ${answer.status} ${String(answer.body)}`);
    return answer.headers.location ?? '';
  }

  /** Ends an upload with its digest, and with the last bytes if there are any. */
  async finishUpload(path: string, digest: Digest, body?: Buffer): Promise<Answer> {
    return await this.ask('PUT', `${path}?digest=${digest}`, body === undefined ? {} : { body });
  }

  /** Pushes an image whole. @throws Error naming the first answer that is not what it should be */
  async push(repository: string, tag: string, image: ImageFixture): Promise<void> {
    const must = (wanted: number, { status, body }: Answer) => {
      if (status !== wanted) throw new Error(`${repository}: ${status} ${String(body)}`);
    };
    for (const blob of image.blobs) {
      const path = await this.startUpload(repository);
      must(202, await this.ask('PATCH', path, { body: blob.bytes }));
      must(201, await this.finishUpload(path, blob.descriptor.digest));
    }
    must(201, await this.putManifest(repository, tag, image));
  }

  async putManifest(repository: string, reference: string, manifest: Fixture): Promise<Answer> {
    return await this.ask('PUT', `/v2/${repository}/manifests/${reference}`, {
      headers: { 'content-type': manifest.descriptor.mediaType },
      body: manifest.bytes,
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function codeOf(body: Buffer): string | undefined {
  try {
    const { errors } = JSON.parse(body.toString()) as { errors: { code: string }[] };
    return errors[0]?.code;
  } catch {
    return undefined;
  }
}
