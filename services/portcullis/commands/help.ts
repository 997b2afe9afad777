import { readVersion } from '#libs/process/version.ts';
import type { Command } from '../command.ts';

const text = `Portcullis: a private container registry.

Usage: portcullis COMMAND [ARGUMENTS]

Run it
  quickstart [--dir DIR] [--host NAME]... [--port PORT]
                          make what is missing (CA, certificate, first user, configuration) and
                          serve; a port counts when config.yml is made, the file decides later
  serve [CONFIG]          gateway, auth and core under one supervisor; "serve" may be left out
  gateway|auth|core [CONFIG]
                          one service alone, for containers

  CONFIG is a config.yml of the original registry, with our own settings under "portcullis". Without it
  REGISTRY_CONFIGURATION_PATH, /etc/docker/registry/config.yml or /etc/distribution/config.yml is
  taken, or the built-in configuration; REGISTRY_* variables change single settings.

Manage it
  user add|passwd|remove [--file HTPASSWD | --config CONFIG] NAME
  user list [--file HTPASSWD | --config CONFIG]
                          users of the htpasswd file; passwords come from a prompt or standard input
  htpasswd -B [-bcinDv] [-C COST] [FILE] NAME [PASSWORD]
                          what Apache's does, as far as a registry can read it
  config check [--explain] [CONFIG]
                          the configuration in effect, as a file that means the same, and what of it is
                          unknown or not supported; exit code 1 where serve would not start
  robot create NAME --access SCOPE... [--expires 90d]
  robot list | robot revoke NAME
                          accounts for machines that may do one thing and die on time
  token revoke ACCOUNT    makes void what was issued to an account
  acl explain --account NAME --repository NAME --action ACTION
                          which rule decides, and why the others do not
  acl test FILE           whether a table of expectations holds
  certs DIR NAME...       a CA in DIR, unless there is one, and a site certificate for these names
  health [--alive] [CONFIG]
                          asks what runs here whether it is ready, or only whether it answers;
                          exit code 1 if it is not
  keys create|list|rotate|revoke|export STATE
                          the signing keys in auth's state folder, changed while it serves
  garbage-collect [-d] [-m] [-q] CONFIG
                          takes away what nothing refers to, while the registry serves
  fsck [--repair] [--quick] CONFIG
                          what is wrong with the storage, ours or the original registry's

  -h, --help              this text
  -v, --version           the version

Exit codes: 0 success; 1 it failed, and one sentence says why; 2 the command line is wrong; 4 fsck
found something; 3 'acl' says no. 'portcullis COMMAND --help' tells more of acl, keys, robot,
garbage-collect and fsck.
`;

export const help: Command = async () => {
  process.stdout.write(text);
  return 0;
};

export const version: Command = async () => {
  process.stdout.write(`portcullis ${await readVersion()}\n`);
  return 0;
};
