export interface WelcomeFacts {
  url: string;
  /** Host, and port unless it is the usual one: what stands before the slash in an image's name. */
  host: string;
  dir: string;
  certificates: string;
  /** Shown once, when the user was just made. */
  password: string | undefined;
  startedInMs: number;
}

/** What a new user needs to know to push a first image. */
export function welcome(facts: WelcomeFacts): string {
  const { url, host, dir, certificates, password, startedInMs } = facts;
  const ca = `${certificates}/ca.crt`;
  const login =
    password === undefined
      ? `  User            admin (password as shown at the first start;
                  a new one: ./bin/portcullis user passwd --config ${dir}/config.yml admin)`
      : `  User            admin
  Password        ${password}   (shown this once)`;
  return `
Portcullis is ready at ${url} (started in ${startedInMs} ms)

${login}
  Configuration   ${dir}/config.yml
  CA certificate  ${ca}

${trust(host, ca)}
  docker login -u admin ${host}
  docker pull alpine
  docker tag alpine ${host}/admin/alpine
  docker push ${host}/admin/alpine

Ctrl-C stops it.
`;
}

/** What has to be done before docker trusts the certificate. */
function trust(host: string, ca: string): string {
  if (/^(?:localhost|127\.[\d.]+)(?::\d+)?$/.test(host)) {
    return `Docker asks no certificate of this host; other clients need the CA (certs/README.md).
`;
  }
  return `Docker trusts it once the CA is where docker looks (no restart needed):

  sudo mkdir -p /etc/docker/certs.d/${host}
  sudo cp ${ca} /etc/docker/certs.d/${host}/ca.crt

Then:
`;
}
