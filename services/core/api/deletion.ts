import { RegistryError } from '#libs/oci/errors.ts';

/** @throws RegistryError UNSUPPORTED where `storage.delete.enabled` is not set */
export function assertDeleteEnabled(enabled: boolean): void {
  if (enabled) return;
  throw new RegistryError('UNSUPPORTED', {
    message: 'deleting is not enabled on this registry (storage.delete.enabled)',
  });
}
