import { connectAsync } from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import { FakeOpenwhisk } from '../support/fake-openwhisk.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import { describeWith } from '../support/programs.ts';
import { Provider } from '../support/provider.ts';
import { SmallDisk } from '../support/small-disk.ts';

const BODIES = Array.from({ length: 500 }, (_, n) => `{"n":${n}}`);

async function site() {
  const [mosquitto, platform, disk] = [await Mosquitto.start(), await FakeOpenwhisk.start(), await SmallDisk.mount()];
  const publisher = await connectAsync(mosquitto.url);
  onTestFinished(() => publisher.endAsync(true));
  const settings = {
    dataDir: disk.folder,
    mqttUrl: mosquitto.url,
    mqttTopics: '[{"topic":"test"}]',
    ...platform.settings,
  };
  return {
    platform,
    disk,
    start: () => Provider.start(settings),
    publish: () => Promise.all(BODIES.map((body) => publisher.publishAsync('test', body, { qos: 1 }))),
  };
}

async function readiness(provider: Provider): Promise<{ ready: boolean; problems: string[] }> {
  const response = await fetch(`${provider.url}/readyz`);
  return (await response.json()) as { ready: boolean; problems: string[] };
}

/** The disk is full and every message published; resolves when the provider has noticed. */
async function stalled({ disk, publish }: Awaited<ReturnType<typeof site>>, provider: Provider): Promise<void> {
  disk.fill();
  await publish();
  await provider.untilStatus(({ journal }) => journal.stalledBy !== undefined);
}

async function confirmedAll(provider: Provider, platform: FakeOpenwhisk): Promise<void> {
  const { books } = await provider.untilStatus(({ books }) => books.confirmed === BODIES.length);
  expect(books).toMatchObject({ received: BODIES.length, pending: 0 });
  expect(platform.messages.map(({ body }) => body).sort()).toEqual(BODIES.toSorted());
  expect(await readiness(provider)).toEqual({ ready: true, problems: [] });
}

describeWith(['mosquitto'], 'the provider on a full disk', () => {
  const it = test.skipIf(!SmallDisk.isPossible);

  it('acknowledges nothing, says why, and goes on without a restart when there is room', async () => {
    const full = await site();
    const { platform, disk, start } = full;
    const provider = await start();
    await stalled(full, provider);
    expect(await readiness(provider)).toEqual({ ready: false, problems: [expect.stringContaining('ENOSPC')] });
    expect(platform.messages).toEqual([]);
    disk.makeRoom();
    await confirmedAll(provider, platform);
  });

  it('has from the broker again, after a kill -9, what it could not write', async () => {
    const full = await site();
    const { platform, disk, start } = full;
    const first = await start();
    await stalled(full, first);
    await first.kill('SIGKILL');
    disk.makeRoom();
    await confirmedAll(await start(), platform);
  });

  it('starts there too, and takes what waits when there is room', async () => {
    const { platform, disk, start, publish } = await site();
    const first = await start();
    await first.kill('SIGTERM');
    disk.fill();
    const second = await start();
    await publish();
    await second.untilStatus(({ journal }) => journal.stalledBy !== undefined);
    disk.makeRoom();
    await confirmedAll(second, platform);
  });
});
