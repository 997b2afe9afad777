import { isIP } from 'node:net';
import { shellWord } from '#libs/values/shell-word.ts';

export interface WelcomeFacts {
  url: string;
  /** Host, and port unless it is the usual one: what stands before the slash in an image's name. */
  host: string;
  config: string;
  /** The authority of our own certificate; undefined where others are configured, or none. */
  ca: string | undefined;
  /** Who may log in: a user that was just made, whose password is shown once; those of a file; or nobody needs to. */
  users: { name: string; password: string } | { file: string } | undefined;
  startedInMs: number;
}

/**
 * How clients call what listens at an address: the port is left out where it is the usual one.
 * @param address as a gateway tells it: an origin, or the path of a socket
 * @param prefix what stands before every path
 */
export function addressFor(
  address: string,
  name: string,
  prefix: string,
): { host: string; url: string } {
  if (address.startsWith('/')) return { host: address, url: `${address}` };
  const { port, protocol } = new URL(address);
  const usual = protocol === 'https:' ? '443' : '80';
  const bare = isIP(name) === 6 ? `[${name}]` : name;
  const host = port === '' || port === usual ? bare : `${bare}:${port}`;
  return { host, url: `${protocol}//${host}${prefix}` };
}

/** Of the names of a registry, the one to show: many clients refuse an image's name that begins with an address of IPv6. */
export function nameToShow(names: readonly string[]): string {
  const usual = names.find((name) => isIP(name) !== 6);
  const [first = 'localhost'] = names;
  return usual ?? (first === '::1' ? 'localhost' : first);
}

/** What a new user needs to know to push a first image. */
export function welcome({ url, host, config, ca, users, startedInMs }: WelcomeFacts): string {
  const name = users !== undefined && 'name' in users ? users.name : 'admin';
  const isReachable = !host.startsWith('/');
  return `
Portcullis is ready at ${url} (started in ${startedInMs} ms)

${describeUsers(users, config)}  Configuration   ${config}
${ca === undefined ? '' : `  CA certificate  ${ca}\n`}
${ca === undefined || !isReachable ? '' : `${trust(host, ca)}\n`}${isReachable ? firstPush(host, users === undefined ? undefined : name) : ''}
Ctrl-C stops it.
`;
}

function describeUsers(users: WelcomeFacts['users'], config: string): string {
  if (users === undefined) return '';
  if ('file' in users) {
    return `  Users           ${users.file}
                  (a new password: ./bin/portcullis user passwd --config ${shellWord(config)} admin)
`;
  }
  return `  User            ${users.name}
  Password        ${users.password}   (shown this once)
`;
}

function firstPush(host: string, user: string | undefined): string {
  const login = user === undefined ? '' : `  docker login -u ${user} ${host}\n`;
  const image = `${host}/${user ?? 'library'}/alpine`;
  return `${login}  docker pull alpine
  docker tag alpine ${image}
  docker push ${image}
`;
}

/** What has to be done before docker trusts the certificate. */
function trust(host: string, ca: string): string {
  if (/^(?:localhost|127\.[\d.]+)(?::\d+)?$/.test(host)) {
    return `Docker asks no certificate of this host; other clients need the CA (certs/README.md).
`;
  }
  const folder = `/etc/docker/certs.d/${host}`;
  return `Docker trusts it once the CA is where docker looks (no restart needed):

  sudo mkdir -p ${shellWord(folder)}
  sudo cp ${shellWord(ca)} ${shellWord(`${folder}/ca.crt`)}

Then:
`;
}
