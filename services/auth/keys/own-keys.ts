import type { Settings } from '#libs/config/settings.ts';

/** Whether several token services have one state folder. */
export function isStateShared({ redis, internal }: Pick<Settings, 'redis' | 'internal'>): boolean {
  return redis !== undefined && !internal.auth.isPrivate;
}

/** @throws Error where keys are to be made that others would not have */
export function assertOwnKeys(folder: string, { isShared }: { isShared: boolean }): void {
  if (!isShared) return;
  throw new Error(
    `portcullis.auth.state: ${folder} holds no signing key, and several token services must have the same; make it once with: portcullis keys create --state ${folder}`,
  );
}
