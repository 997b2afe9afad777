import { type Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Sent {
  headers?: Record<string, string>;
  /** Several parts are sent chunked, without a length. */
  body?: Buffer | string | readonly Buffer[];
}

export interface Received {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
  /** The codes of an error answer; empty where the body is none. */
  codes: string[];
}

export interface Target {
  agent: Agent;
  port: number;
  method: string;
  path: string;
}

/** Sends a request to a port of this machine and takes the answer whole, whatever it is. */
export async function exchange(target: Target, { headers = {}, body }: Sent): Promise<Received> {
  const parts = body === undefined ? [] : Array.isArray(body) ? (body as Buffer[]) : [body];
  const whole = parts.length === 1 ? Buffer.byteLength(parts[0] as Buffer | string) : undefined;
  const length = body === undefined ? 0 : whole;
  const announced = length === undefined ? {} : { 'Content-Length': String(length) };
  const bodyless = target.method === 'GET' || target.method === 'HEAD';
  return await new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', ...target, headers: { ...(bodyless ? {} : announced), ...headers } },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('error', reject);
        incoming.once('end', () => {
          const body = Buffer.concat(chunks);
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body,
            // Read when asked for: most bodies are large and no text.
            get text() {
              return body.toString('utf8');
            },
            get codes() {
              return codesOf(body.toString('utf8'));
            },
          });
        });
      },
    );
    // After an answer that came early the rest of the request may meet a closed connection.
    outgoing.on('error', reject);
    for (const part of parts) outgoing.write(part);
    outgoing.end();
  });
}

function codesOf(text: string): string[] {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code: string }[] };
    return (errors ?? []).map(({ code }) => code);
  } catch {
    return [];
  }
}
