import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { expect, it, onTestFinished } from 'vitest';
import { CENTER_LOGIN, Center } from '../support/center.ts';
import { FakeOpenwhisk } from '../support/fake-openwhisk.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import { describeLong } from '../support/programs.ts';
import { Provider } from '../support/provider.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** REPLICA_SECONDS=600 makes it the long run. */
const SECONDS = Number(process.env.REPLICA_SECONDS ?? 30);
const MESSAGES_PER_SECOND = 200;
/** Each rings every second. */
const ALARMS = 17;

/** One of two providers of a site, which is killed and started again with the same data. */
class Replica {
  #provider: Provider;
  readonly #settings: Record<string, string>;

  private constructor(provider: Provider, settings: Record<string, string>) {
    this.#provider = provider;
    this.#settings = settings;
  }

  static async start(replica: string, settings: Record<string, string>): Promise<Replica> {
    const all = { ...settings, replica, dataDir: await temporaryFolder() };
    return new Replica(await Provider.start(all), all);
  }

  async kill(): Promise<void> {
    await this.#provider.kill('SIGKILL');
    await sleep(Math.random() * 1_000);
    this.#provider = await Provider.start(this.#settings);
  }

  get provider(): Provider {
    return this.#provider;
  }
}

describeLong('two replicas of a site', () => {
  it(
    'share the work; a kill -9 of either at any time loses no message and rings no instant twice',
    async () => {
      const [mosquitto, center, openwhisk] = [
        await Mosquitto.start(),
        await Center.start(),
        await FakeOpenwhisk.start(),
      ];
      const alarms = Array.from({ length: ALARMS }, (_, n) => ({
        name: `alarm-${n}`,
        cron: '* * * * * *',
        trigger: 'ring',
        misfire: 'fireAll',
        misfireLimit: 1_000,
      }));
      const settings = {
        mqttUrl: mosquitto.url,
        mqttTopics: '[{"topic":"readings/#"}]',
        alarms: JSON.stringify(alarms),
        ...openwhisk.settings,
        couchdbGateway: center.url,
        couchdbUsername: CENTER_LOGIN.username,
        couchdbPassword: CENTER_LOGIN.password,
        receiptTimeoutSeconds: '2',
      };
      const replicas = [await Replica.start('a', settings), await Replica.start('b', settings)];
      // Both have their subscription, and have rung: from here on somebody is responsible for every message and instant.
      const begun = Date.now();

      const published: string[] = [];
      const sensor = await connectAsync(mosquitto.url);
      onTestFinished(() => sensor.endAsync(true));
      const end = begun + SECONDS * 1_000;
      const publishing = (async () => {
        for (let n = 0; Date.now() < end; n++) {
          published.push(String(n));
          await sensor.publishAsync(`readings/${n % 50}`, String(n), { qos: 1 });
          await sleep(1_000 / MESSAGES_PER_SECOND);
        }
      })();
      let kills = 0;
      while (Date.now() < end - 5_000) {
        await sleep(1_000 + Math.random() * 3_000);
        await replicas[Math.floor(Math.random() * 2)]!.kill();
        kills += 1;
      }
      await publishing;
      expect(kills).toBeGreaterThan(SECONDS / 30);

      const isSettled = async () => {
        const all = await Promise.all(replicas.map(({ provider }) => provider.status()));
        return all.every(({ books }) => books.pending === 0);
      };
      const arrived = () => new Set(openwhisk.messages.map(({ body }) => body));
      await expect.poll(() => arrived().size, { timeout: 60_000, interval: 200 }).toBe(published.length);
      await expect.poll(isSettled, { timeout: 60_000, interval: 200 }).toBe(true);
      const byReplica = await Promise.all(
        replicas.map(async ({ provider }) => (await provider.status()).books.confirmed),
      );
      expect(Math.min(...byReplica)).toBeGreaterThan(published.length / 10);

      const rung = new Map<string, Set<string>>();
      for (const fired of openwhisk.fired) {
        if (fired.type !== 'alarm') continue;
        const { registration, batchId, scheduledFor } = fired as typeof fired & { scheduledFor: string };
        const key = `${registration} ${Date.parse(scheduledFor)}`;
        rung.set(key, (rung.get(key) ?? new Set()).add(batchId));
      }
      const first = Math.ceil(begun / 1_000) + 1;
      const instants = alarms.flatMap(({ name }) =>
        Array.from({ length: Math.floor(end / 1_000) - first }, (_, n) => `${name} ${(first + n) * 1_000}`),
      );
      expect(instants.filter((instant) => !rung.has(instant))).toEqual([]);
      expect([...rung].filter(([, batchIds]) => batchIds.size > 1)).toEqual([]);
    },
    SECONDS * 1_000 + 180_000,
  );
}, ['mosquitto']);
