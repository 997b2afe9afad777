import type { Server } from 'node:tls';
import { watchFile } from '#libs/files/watch-file.ts';
import type { TlsFiles } from '#libs/http/load-tls.ts';
import { loadTls } from '#libs/http/load-tls.ts';
import type { Logger } from '#libs/log/logger.ts';

/** Takes a renewed certificate without closing a connection. */
export function followTls(
  server: Server,
  settings: TlsFiles,
  log: Logger,
): { reload(): Promise<void>; close(): void } {
  const load = async () => server.setSecureContext(await loadTls(settings));
  const watches = [settings.certificate, settings.key].map((path) => watchFile(path, load, log));
  return {
    reload: async () => await watches[0]?.reload(),
    close: () => {
      for (const watch of watches) watch.close();
    },
  };
}
