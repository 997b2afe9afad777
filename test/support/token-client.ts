import type { Access } from '#libs/access/scope.ts';

export interface TokenAnswer {
  status: number;
  token: string;
  refreshToken: string | undefined;
  subject: string;
  /** As `type:name:actions`. */
  granted: string[];
  retryAfter: number;
  body: Record<string, unknown>;
}

/** Speaks with a token endpoint as clients do. */
export function createTokenClient(url: string) {
  async function read(response: Response): Promise<TokenAnswer> {
    const body = (await response.json()) as Record<string, unknown>;
    const token = String(body.access_token ?? body.token ?? '');
    const payload = token.split('.')[1] ?? '';
    const claims = (
      payload === '' ? {} : JSON.parse(Buffer.from(payload, 'base64url').toString())
    ) as {
      sub?: string;
      access?: Access[];
    };
    return {
      status: response.status,
      token,
      refreshToken: body.refresh_token as string | undefined,
      subject: claims.sub ?? '',
      granted: (claims.access ?? []).map(({ type, name, actions }) => `${type}:${name}:${actions}`),
      retryAfter: Number(response.headers.get('retry-after') ?? 0),
      body,
    };
  }

  return {
    /** GET with Basic credentials. */
    async get(account: string, password: string, query: Record<string, string> = {}) {
      const basic = Buffer.from(`${account}:${password}`).toString('base64');
      const headers = { Authorization: `Basic ${basic}` };
      return await read(await fetch(`${url}/v2/_token?${new URLSearchParams(query)}`, { headers }));
    },
    /** POST of a form. */
    async post(form: Record<string, string>) {
      const body = new URLSearchParams(form);
      return await read(await fetch(`${url}/v2/_token`, { method: 'POST', body }));
    },
    /** The status of a request with a token. */
    async use(token: string, path = '', method = 'GET') {
      const headers = { Authorization: `Bearer ${token}` };
      const response = await fetch(`${url}/v2/${path}`, { method, headers });
      await response.body?.cancel();
      return response.status;
    },
  };
}

export type TokenClient = ReturnType<typeof createTokenClient>;
