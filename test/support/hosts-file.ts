import { readFileSync, writeFileSync } from 'node:fs';

const path = '/etc/hosts';

/**
 * Makes a host name mean these addresses, or nothing. Read and written in one turn, and lines of other names stay:
 * suites that run side by side each have names of their own.
 */
export function resolveTo(name: string, ...addresses: readonly string[]): void {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const others = lines.filter((line) => !line.endsWith(` ${name}`));
  const ours = addresses.map((address) => `${address} ${name}`);
  writeFileSync(path, `${[...others, ...ours].join('\n')}\n`);
}
