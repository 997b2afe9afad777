import { shellWord } from '#libs/values/shell-word.ts';

/** The config.yml that a first start writes: small, working, and explained. */
export function starterConfiguration({ dir, port }: { dir: string; port: number }): string {
  const path = (name: string) => JSON.stringify(`${dir}/${name}`);
  return `# The original registry's config.yml; every key keeps its meaning, and REGISTRY_* variables override
# it (REGISTRY_HTTP_ADDR=:8443). What is ours stands under "portcullis" at the end. Users, rules, groups and
# certificates are taken while it runs; other changes after a restart, as the log says.
# See what is in effect: ./bin/portcullis config check ${shellWord(`${dir}/config.yml`)}
version: 0.1
log:
  level: info
  formatter: text            # text, json or logstash
storage:
  filesystem:
    rootdirectory: ${path('registry')}
  delete:
    enabled: true            # lets those with the right remove tags and manifests
auth:
  htpasswd:
    realm: Portcullis
    path: ${path('auth/htpasswd')}   # bcrypt; changes are taken within seconds
http:
  addr: :${port}
  # host: https://registry.example.com   # only if a proxy in front hides how clients call it
  tls:
    certificate: ${path('certs/site.crt')}
    key: ${path('certs/site.key')}
  headers:
    X-Content-Type-Options: [nosniff]
  # debug: { addr: "127.0.0.1:5001", prometheus: { enabled: true } }   # /debug/health, /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3

portcullis:
  groups:
    admins: [admin]
  # The first rule that matches decides; if none does, nothing is granted. "*" stays within one part
  # of a name, "**" crosses parts, /.../ is a regular expression, "@admins" is everyone in the group.
  acl:
    - match: { account: "@admins" }
      actions: ["*"]
    - match: { account: "/.+/", name: "\${account}/**" }
      actions: [pull, push, delete]
      comment: everyone owns a namespace
    - match: { account: "/.+/" }
      actions: [pull]
      comment: everyone who can log in may pull everything
    # - match: { name: "public/**" }
    #   actions: [pull]
    #   comment: also without login
  token:
    ttl: 5m
  gc:
    interval: 24h            # collects what nothing refers to; the trash keeps it for another day
  auth:
    state: ${path('auth/state')}     # signing keys; keep it private
`;
}
