import type { BrokerAddress } from './mosquitto.ts';
import { TOOLS } from './paths.ts';
import { Child } from './processes.ts';

/** About 100 bytes, as a sensor sends them; the sink finds number and time of sending in it. */
export const READING =
  '{"temperature":21.53,"humidity":48.2,"device_fingerprint":7,"sequence":{sequence},"sent":{sent}}';

export interface Published {
  readonly sent: number;
  readonly acknowledged: number;
  /** Microseconds since the epoch. */
  readonly firstSentUs: number;
  readonly lastAckUs: number;
}

export interface PublishOptions {
  readonly count: number;
  /** Messages per second; as fast as the broker acknowledges if absent. */
  readonly rate?: number;
  readonly body?: string;
  /** `%[1]d` stands for the number of the topic, `%[2]d` for its last digit. */
  readonly topic?: string;
  readonly topics?: number;
}

/** Publishes at QoS 1 until the broker has acknowledged everything. */
export async function publish({ port }: BrokerAddress, options: PublishOptions): Promise<Published> {
  const { count, rate = 0, body = READING, topic = 'test', topics = 1 } = options;
  const values = { broker: `127.0.0.1:${port}`, count, rate, body, topic, topics };
  const flags = Object.entries(values).map(([name, value]) => `-${name}=${value}`);
  await using child = new Child(TOOLS, ['publish', ...flags]);
  return await child.nextResult<Published>();
}
