import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { couchdb, DeployedSite, startCenter, until } from '../deploy/support/deployment.ts';
import { ROOT } from '../deploy/support/images.ts';
import { Cluster, describeWithKubernetes } from '../deploy/support/kube.ts';

/** Whose versions change when somebody writes them, not by what the cluster notes of them. */
const KINDS = 'configmap,service,statefulset,deployment,networkpolicy,poddisruptionbudget';
const MINUTES = 60_000;

describeWithKubernetes('Kubernetes', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.up();
  }, 2 * MINUTES);
  afterAll(() => cluster.down(), 3 * MINUTES);

  /** Generations of what is in a namespace, resource versions of what has none. */
  async function versions(namespace: string): Promise<string[]> {
    const { items } = await cluster.get<{
      items: Array<{ kind: string; metadata: { name: string; generation?: number; resourceVersion: string } }>;
    }>('--namespace', namespace, KINDS);
    return items
      .filter(({ metadata }) => metadata.name !== 'kube-root-ca.crt')
      .map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.generation ?? metadata.resourceVersion}`);
  }

  /** A namespace of the level `restricted` in which no Pod starts, as no images are there yet. */
  async function quietNamespace(name: string): Promise<void> {
    const level = 'pod-security.kubernetes.io';
    const labels = { [`${level}/enforce`]: 'restricted', [`${level}/warn`]: 'restricted' };
    const items = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
      {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'quiet', namespace: name },
        spec: { hard: { pods: '0' } },
      },
    ];
    await cluster.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  describe.each([
    { folder: 'deploy/site', namespace: 'base-of-a-site' },
    { folder: 'deploy/center', namespace: 'base-of-a-center' },
    { folder: 'deploy/overlays/north', namespace: 'north' },
    { folder: 'deploy/overlays/south', namespace: 'south' },
    { folder: 'deploy/overlays/center', namespace: 'center' },
  ])('$folder', ({ folder, namespace }) => {
    it(
      'is taken at the level restricted without a warning, again unchanged, and deleted without leftovers',
      async () => {
        const target = ['--namespace', namespace, '-k', join(ROOT, folder)];
        await quietNamespace(namespace);
        const { stdout, stderr } = await cluster.kubectl(['apply', ...target]);
        expect(stderr).toBe('');
        expect(stdout).toMatch(/statefulset\.apps\/\S+ created/);
        const before = await versions(namespace);
        expect((await cluster.kubectl(['apply', ...target])).stderr).toBe('');
        expect(await versions(namespace)).toEqual(before);
        await cluster.kubectl(['delete', '--wait', ...target]);
        expect(await versions(namespace)).toEqual([]);
      },
      5 * MINUTES,
    );
  });

  describe('two sites and a center on a node', () => {
    let folder: string;
    let east: DeployedSite;
    let west: DeployedSite;
    beforeAll(async () => {
      await cluster.loadImages();
      folder = await mkdtemp(join(tmpdir(), 'fogwhisk-sites-'));
      await startCenter(cluster);
      east = await DeployedSite.start(cluster, 'east', '7', folder);
      west = await DeployedSite.start(cluster, 'west', '8', folder);
      await Promise.all([east.ready(), west.ready()]);
    }, 10 * MINUTES);
    afterAll(() => rm(folder, { recursive: true }));

    /** Resolves when every reading ever published is a point. */
    const complete = (site: DeployedSite, count: number) =>
      until(
        () => site.points(),
        (points) => points === count,
        2 * MINUTES,
      );

    it(
      "make of a reading a point in the InfluxDB of the reading's site, and not in the other's",
      async () => {
        await east.publish(0, 50);
        await complete(east, 50);
        expect(await west.points()).toBe(0);
      },
      3 * MINUTES,
    );

    it(
      'lose nothing when the Pod is deleted under load, and stop in order',
      async () => {
        const logs = east.logs();
        const publishing = east.publish(50, 500);
        await until(
          () => east.status(),
          ({ books }) => books.received >= 100,
          MINUTES,
        );
        const begun = performance.now();
        await east.kubectl('delete', 'pod', 'mqtt-provider-0');
        expect(performance.now() - begun).toBeLessThan(30_000);
        expect(await logs).toContain('fogwhisk has stopped');
        await publishing;
        await complete(east, 550);
      },
      4 * MINUTES,
    );

    it(
      'lose nothing in a rollout restart under load',
      async () => {
        const publishing = east.publish(550, 500);
        await until(
          () => east.status(),
          ({ books }) => books.received >= 600,
          MINUTES,
        );
        await east.kubectl('rollout', 'restart', 'statefulset/mqtt-provider');
        await east.ready();
        await publishing;
        await complete(east, 1_050);
      },
      4 * MINUTES,
    );

    it(
      'lose nothing when the process is killed on the node',
      async () => {
        const publishing = east.publish(1_050, 500);
        await until(
          () => east.status(),
          ({ books }) => books.received >= 1_100,
          MINUTES,
        );
        const { metadata } = await east.provider();
        process.kill(await providerProcess(metadata.uid), 'SIGKILL');
        await until(
          () => east.provider(),
          ({ status }) => status.containerStatuses[0]!.restartCount === 1,
          MINUTES,
        );
        await publishing;
        await complete(east, 1_550);
      },
      4 * MINUTES,
    );

    it(
      'are not ready while the broker is away, and are reached nevertheless',
      async () => {
        const isReady = ({ status }: Awaited<ReturnType<DeployedSite['provider']>>) =>
          status.conditions.find(({ type }) => type === 'Ready')!.status === 'True';
        await east.kubectl('scale', 'statefulset/mosquitto', '--replicas=0');
        await until(
          () => east.provider(),
          (pod) => !isReady(pod),
          MINUTES,
        );
        expect((await east.status()).broker).toBe('disconnected');
        await east.kubectl('scale', 'statefulset/mosquitto', '--replicas=1');
        await until(() => east.provider(), isReady, 2 * MINUTES);
      },
      4 * MINUTES,
    );

    it(
      'are held within their memory',
      async () => {
        const hog = 'const kept = []; for (;;) kept.push(Buffer.alloc(1024 * 1024, 1))';
        await expect(east.inProvider('node', '-e', hog)).rejects.toThrow(/137|OOM/);
        await east.ready();
        await east.publish(1_550, 50);
        await complete(east, 1_600);
      },
      4 * MINUTES,
    );

    it(
      'are started again when they hang',
      async () => {
        const { metadata, status } = await west.provider();
        const restarts = status.containerStatuses[0]!.restartCount;
        process.kill(await providerProcess(metadata.uid), 'SIGSTOP');
        await until(
          () => west.provider(),
          (pod) => pod.status.containerStatuses[0]!.restartCount > restarts,
          3 * MINUTES,
        );
        await west.ready();
        await west.publish(0, 20);
        await complete(west, 20);
      },
      5 * MINUTES,
    );

    it(
      'lose nothing in a rolling restart of two replicas under load',
      async () => {
        await west.runTwo();
        await west.ready();
        const before = await west.points();
        const publishing = west.publish(1_000, 800);
        await until(
          () => west.points(),
          (points) => points >= before + 100,
          MINUTES,
        );
        await west.kubectl('rollout', 'restart', 'statefulset/mqtt-provider');
        await west.ready();
        await publishing;
        await complete(west, before + 800);
        for (const pod of ['mqtt-provider-0', 'mqtt-provider-1'])
          expect(await west.receivedBy(pod)).toBeGreaterThan(100);
      },
      6 * MINUTES,
    );

    it(
      'follow a registration that is made in the center',
      async () => {
        const id = '/guest/addReadingToDbTrigger';
        const document = { _id: id, trigger: id, topic: 'made-in-the-center/#', kind: 'mqtt' };
        const path = `topic_listeners/${encodeURIComponent(id)}`;
        await until(
          () => couchdb(cluster, 'PUT', path, document),
          ({ status }) => status === 201,
          MINUTES,
        );
        for (const site of [east, west]) {
          const before = await site.points();
          await until(
            () => site.status(),
            ({ registrations }) => registrations.some(({ topic }) => topic === 'made-in-the-center/#'),
            MINUTES,
          );
          await site.publish(10_000, 10, 'made-in-the-center/room');
          await complete(site, before + 10);
        }
      },
      4 * MINUTES,
    );
  });
});

/** The provider's process of a Pod: in the Pod's control group, and Node.js. */
async function providerProcess(pod: string): Promise<number> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const [groups, command] = await Promise.all(
      ['cgroup', 'cmdline'].map((file) => readFile(join('/proc', entry, file), 'utf8').catch(() => '')),
    );
    if (groups!.includes(pod) && command!.startsWith('node\0') && command!.includes('dist/main.js'))
      return Number(entry);
  }
  throw new Error(`no process of the Pod ${pod}`);
}
