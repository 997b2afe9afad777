import type { LoadedConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { ensureFree, ensureUnserved, type ListenAddress } from '#libs/http/serve.ts';
import { planDebug } from '#libs/process/debug-plan.ts';
import { assertAgreedSockets } from '#libs/process/socket-folder.ts';
import { ConfigurationError } from '#libs/values/configuration-error.ts';
import type { ServiceName } from '#libs/values/service-name.ts';
import { checkFiles } from './check-files.ts';

/**
 * Looks whether services can start, before anything is made for them: at their files, and at the addresses that they
 * will listen on.
 * @throws Error with one clear sentence, or a line for each file
 */
export async function assertStartable(
  loaded: LoadedConfiguration,
  settings: Settings,
  services: readonly ServiceName[],
): Promise<void> {
  assertAgreedSockets(settings, services);
  await assertAddressesFree(loaded, settings, services);
  // Said once, and not by each child that would find its own taken.
  for (const service of services) {
    if (service !== 'gateway') await ensureUnserved(settings.internal[service].listen);
  }
  const { problems, unreadable } = await checkFiles(settings, services);
  const faults = [...problems, ...unreadable];
  if (faults.length > 0) throw new ConfigurationError(faults);
}

/** @throws Error with one clear sentence if an address that services will listen on cannot be had */
export async function assertAddressesFree(
  loaded: LoadedConfiguration,
  settings: Settings,
  services: readonly ServiceName[],
): Promise<void> {
  for (const { address, setting } of addressesOf(loaded, settings, services)) {
    await ensureFree(address, setting);
  }
}

interface WantedAddress {
  address: ListenAddress;
  setting: string;
}

function addressesOf(
  loaded: LoadedConfiguration,
  settings: Settings,
  services: readonly ServiceName[],
): WantedAddress[] {
  const workers = { auth: 1, ...settings.workers };
  const wanted = services.flatMap((service) =>
    Array.from({ length: workers[service] }, (_, index): WantedAddress[] => {
      const worker = index + 1;
      const own = toSettings(loaded, { worker, sockets: settings.sockets.folder });
      const { address, setting } = planDebug({ service, worker }, own, true);
      const debug = address === undefined ? [] : [{ address, setting }];
      if (service === 'gateway') {
        return worker > 1 ? debug : [{ address: own.http.listen, setting: 'http.addr' }, ...debug];
      }
      return [
        { address: own.internal[service].listen, setting: `portcullis.${service}.listen` },
        ...debug,
      ];
    }).flat(),
  );
  // Sockets are in a folder that is not there yet, or a dead process left them.
  return wanted.filter(({ address }) => 'port' in address && address.port !== 0);
}
