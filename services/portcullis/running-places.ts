import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A file beside the sockets: the configuration may say another address by now. */
const name = 'gateway.address';

/** @param address as a gateway tells it: an origin, or the path of a socket */
export async function noteGatewayAddress(folder: string, address: string): Promise<void> {
  await forgetGatewayAddress(folder);
  // The folder may be another user's: nothing that is there is written to. Without it, whoever asks takes the configuration's.
  await writeFile(join(folder, name), address, { flag: 'wx', mode: 0o644 }).catch(() => {});
}

export async function forgetGatewayAddress(folder: string): Promise<void> {
  await rm(join(folder, name), { force: true }).catch(() => {});
}

/** Where the gateway listens that runs with these sockets; undefined where that is not known. */
export async function readGatewayAddress(folder: string): Promise<string | undefined> {
  return await readFile(join(folder, name), 'utf8').catch(() => undefined);
}
