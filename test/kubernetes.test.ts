import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { toSettings } from '#libs/config/settings.ts';
import { parseDuration } from '#libs/values/duration.ts';
import { type KubernetesObject, kubernetesObjects } from './support/kubernetes-objects.ts';
import { mustRun, run } from './support/run.ts';
import { createTemporaryFolder } from './support/temporary-folder.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Its own schema is not among Kubernetes'. */
const isKustomize = ({ kind }: KubernetesObject) => kind === 'Kustomization';

const objects = kubernetesObjects();
const applied = objects.filter(({ file }) => !/^(?:examples\/|secrets\.example)/.test(file));
const find = (kind: string, name: string) =>
  objects.find((object) => object.kind === kind && object.name === name)?.body;
const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);

/** `import type { Deployment } …` for an object of that kind. */
const moduleOf = ({ apiVersion, kind }: KubernetesObject) =>
  `kubernetes-models/${apiVersion}/${kind}`;

describe('compose/kubernetes', () => {
  test('has every kind of object that a registry in a cluster needs', () => {
    const kinds = new Set(objects.map(({ kind }) => kind));
    const needed = [
      ...['Namespace', 'ConfigMap', 'Secret', 'PersistentVolumeClaim', 'Deployment', 'Service'],
      ...['Ingress', 'PodDisruptionBudget', 'HorizontalPodAutoscaler', 'NetworkPolicy', 'Pod'],
      ...['ServiceAccount', 'Kustomization'],
    ];
    assert.deepEqual(
      needed.filter((kind) => !kinds.has(kind)),
      [],
    );
    assert.equal(find('Service', 'portcullis-nodeport').spec.type, 'NodePort');
  });

  test('every object is valid by Kubernetes’ own schema', async () => {
    for (const object of objects) {
      if (isKustomize(object)) continue;
      const module = (await import(moduleOf(object))) as Record<
        string,
        new (
          body: unknown,
        ) => { validate(): void }
      >;
      const Model = module[object.kind];
      assert.ok(Model, `${object.file}: there is no ${object.kind}`);
      assert.doesNotThrow(
        () => new Model(object.body).validate(),
        `${object.file}: ${object.kind} ${object.name}`,
      );
      const broken = { ...object.body, metadata: 'none' };
      assert.throws(() => new Model(broken).validate(), /metadata/);
    }
  });

  test('and has no key that the schema does not know', async () => {
    // The compiler refuses unknown keys in literals; the folder is here for its modules.
    const dir = await mkdtemp(join(root, 'node_modules/.kubernetes-'));
    try {
      const known = objects.filter((object) => !isKustomize(object));
      const lines = known.flatMap((object, index) => [
        `import type { I${object.kind} as K${index} } from '${moduleOf(object)}';`,
        `export const o${index}: K${index} = ${JSON.stringify(object.body)};`,
      ]);
      await writeFile(join(dir, 'objects.mts'), `${lines.join('\n')}\n`);
      const tsc = join(root, 'node_modules/.bin/tsc');
      const options = [
        '--ignoreConfig',
        '--noEmit',
        '--skipLibCheck',
        '--module',
        'nodenext',
        '--strict',
      ];
      const { code, stdout } = await run(tsc, [...options, join(dir, 'objects.mts')], { cwd: dir });
      assert.equal(code, 0, stdout);
      // And it would have told.
      await writeFile(
        join(dir, 'wrong.mts'),
        `import type { IService } from 'kubernetes-models/v1/Service';
export const o: IService = { apiVersion: 'v1', kind: 'Service', spec: { prots: [] } };\n`,
      );
      const wrong = await run(tsc, [...options, join(dir, 'wrong.mts')], { cwd: dir });
      assert.match(wrong.stdout, /prots/);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('kustomization.yaml names every file but the examples', () => {
    const [kustomization] = ofKind('Kustomization');
    const files = new Set(applied.filter((one) => !isKustomize(one)).map(({ file }) => file));
    assert.deepEqual(new Set(kustomization?.body.resources), files);
  });

  test('the configuration is one that all processes can start with', async () => {
    await using folder = await createTemporaryFolder();
    const path = join(folder.path, 'config.yml');
    await writeFile(path, find('ConfigMap', 'portcullis-config').data['config.yml']);
    const env = { REGISTRY_HTTP_SECRET: 'x'.repeat(64) };
    const loaded = await loadConfiguration(path, env);
    assert.deepEqual(
      loaded.diagnostics.filter(({ level }) => level !== 'note'),
      [],
    );
    const { http, drainDelay, internal, debug } = toSettings(loaded);
    const ports = { gateway: http.listen, core: internal.core.listen, auth: internal.auth.listen };
    for (const [name, listen] of Object.entries(ports)) {
      const [container] = find('Deployment', `portcullis-${name}`).spec.template.spec.containers;
      const numbers = container.ports.map((port: { containerPort: number }) => port.containerPort);
      assert.ok('port' in listen && numbers.includes(listen.port), name);
      assert.ok(numbers.includes(debug.shared?.port), name);
      const grace = find('Deployment', `portcullis-${name}`).spec.template.spec;
      const needed = (drainDelay + http.drainTimeout) / 1000;
      assert.ok(grace.terminationGracePeriodSeconds > needed, name);
    }
    for (const { body } of ofKind('Service').filter(({ name }) => /core|auth/.test(name))) {
      assert.equal(body.spec.clusterIP, 'None');
    }
    const addresses = [...internal.cores, ...internal.auths].map((address) =>
      address.kind === 'tcp' ? `${address.host}:${address.port}` : '',
    );
    assert.deepEqual(addresses, ['portcullis-core:5001', 'portcullis-auth:5002']);
  });

  test('what refers to something finds it', () => {
    const deployments = ofKind('Deployment');
    for (const { body, name } of deployments) {
      const { selector, template } = body.spec;
      assert.deepEqual(selector.matchLabels, template.metadata.labels, name);
      const volumes = new Map<string, unknown>(
        template.spec.volumes.map((volume: { name: string }) => [volume.name, volume]),
      );
      for (const mount of template.spec.containers[0].volumeMounts) {
        assert.ok(volumes.has(mount.name), `${name}: ${mount.name}`);
      }
      for (const volume of template.spec.volumes) {
        if (volume.configMap) assert.ok(find('ConfigMap', volume.configMap.name), name);
        if (volume.secret) assert.ok(find('Secret', volume.secret.secretName), name);
        const claim = volume.persistentVolumeClaim?.claimName;
        if (claim) assert.ok(find('PersistentVolumeClaim', claim), name);
      }
      for (const { valueFrom } of template.spec.containers[0].env ?? []) {
        const { name: secret, key } = valueFrom.secretKeyRef;
        assert.ok(find('Secret', secret).stringData[key], name);
      }
    }
    const selects = (labels: Record<string, string>) =>
      deployments.filter(({ body }) =>
        Object.entries(labels).every(
          ([key, value]) => body.spec.template.metadata.labels[key] === value,
        ),
      );
    for (const { body, name } of ofKind('Service')) {
      const [deployment, ...more] = selects(body.spec.selector);
      assert.ok(deployment !== undefined && more.length === 0, name);
      const { ports } = deployment.body.spec.template.spec.containers[0];
      const names = ports.map((port: { name: string }) => port.name);
      for (const { targetPort } of body.spec.ports) assert.ok(names.includes(targetPort), name);
    }
    for (const { body, name } of ofKind('PodDisruptionBudget')) {
      assert.equal(selects(body.spec.selector.matchLabels).length, 1, name);
    }
    for (const { body } of ofKind('HorizontalPodAutoscaler')) {
      assert.ok(find('Deployment', body.spec.scaleTargetRef.name));
    }
    const { service } = find('Ingress', 'portcullis').spec.rules[0].http.paths[0].backend;
    const ports = find('Service', service.name).spec.ports;
    assert.ok(ports.some((port: { name: string }) => port.name === service.port.name));
  });

  test('no container may do more than it must', () => {
    for (const { body, name } of ofKind('Deployment')) {
      const { spec } = body.spec.template;
      assert.equal(spec.securityContext.runAsNonRoot, true, name);
      assert.equal(spec.automountServiceAccountToken, false, name);
      const [{ securityContext, readinessProbe, livenessProbe, resources }] = spec.containers;
      assert.deepEqual(securityContext.capabilities.drop, ['ALL'], name);
      assert.equal(securityContext.readOnlyRootFilesystem, true, name);
      assert.equal(securityContext.allowPrivilegeEscalation, false, name);
      assert.ok(readinessProbe && livenessProbe && resources.limits.memory, name);
    }
  });
});

test('compose.yml is understood, with the two of each that its configuration names', async () => {
  const text = await mustRun('cat', [join(root, 'compose/compose.yml')]);
  const { services } = parse(text, { merge: true });
  const loaded = await loadConfiguration(join(root, 'compose/config.yml'), {
    REGISTRY_HTTP_SECRET: 'x'.repeat(64),
  });
  const { internal, http, drainDelay } = toSettings(loaded);
  for (const address of [...internal.cores, ...internal.auths]) {
    assert.ok(address.kind === 'tcp' && services[address.host] !== undefined);
  }
  for (const name of ['gateway-1', 'auth-1', 'core-1']) {
    const grace = parseDuration(services[name].stop_grace_period) ?? 0;
    assert.ok(grace > drainDelay + http.drainTimeout, name);
  }
  for (const [name, service] of Object.entries<{ mem_limit?: string }>(services)) {
    assert.ok(service.mem_limit, name);
  }
});
