import type { SecureContextOptions, Server } from 'node:tls';
import { watchFile } from '#libs/files/watch-file.ts';
import type { TlsFiles } from '#libs/http/load-tls.ts';
import { describeDoubts, describeExpiry, loadTls } from '#libs/http/load-tls.ts';
import type { Logger } from '#libs/log/logger.ts';

/** Reads the certificate and says so where clients will not take it. @throws Error with one clear sentence naming the file */
export async function loadCertificate(
  settings: TlsFiles,
  log: Logger,
): Promise<SecureContextOptions> {
  const options = await loadTls(settings);
  const pem = options.cert;
  for (const why of [describeExpiry(pem), ...describeDoubts(pem, undefined)]) {
    if (why !== undefined) log.warn({ file: settings.certificate }, `the certificate ${why}`);
  }
  return options;
}

/** Takes a renewed certificate without closing a connection. */
export function followTls(
  server: Server,
  settings: TlsFiles,
  log: Logger,
): { reload(): Promise<void>; close(): void } {
  const load = async () => server.setSecureContext(await loadCertificate(settings, log));
  const watches = [settings.certificate, settings.key].map((path) => watchFile(path, load, log));
  return {
    reload: async () => await watches[0]?.reload(),
    close: () => {
      for (const watch of watches) watch.close();
    },
  };
}
