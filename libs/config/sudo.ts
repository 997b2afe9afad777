/** The user for whom root acts, as sudo(8) says; undefined without it. */
export function sudoUser(
  env: Readonly<Record<string, string | undefined>> = process.env,
): number | undefined {
  return idIn(env.SUDO_UID);
}

/** The first group of that user; undefined without sudo. */
export function sudoGroup(
  env: Readonly<Record<string, string | undefined>> = process.env,
): number | undefined {
  return idIn(env.SUDO_GID);
}

const idIn = (text = '') => (/^\d+$/.test(text) ? Number(text) : undefined);
