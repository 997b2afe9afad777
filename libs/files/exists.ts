import { access } from 'node:fs/promises';

/** Whether there is something at a path; also false where this user may not look. */
export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
