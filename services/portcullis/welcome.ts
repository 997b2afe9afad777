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

Docker trusts it once the CA is where docker looks (no restart needed):

  sudo mkdir -p /etc/docker/certs.d/${host}
  sudo cp ${ca} /etc/docker/certs.d/${host}/ca.crt

Then:

  docker login -u admin ${host}
  docker tag alpine ${host}/admin/alpine
  docker push ${host}/admin/alpine

Ctrl-C stops it.
`;
}
