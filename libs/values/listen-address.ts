/**
 * Reads `:5000`, `0.0.0.0:8000`, `[::1]:5000`, `registry.internal:5000`.
 * @param key the setting it comes from
 * @throws Error with one clear sentence
 */
export function parseAddress(addr: string, key = 'http.addr'): { host?: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(addr);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new Error(`${key}: "${addr}" is not an address such as :5000 or 127.0.0.1:5000`);
  }
  const host = match[1] ?? match[2] ?? '';
  return host === '' ? { port } : { host, port };
}
