import { randomUUID } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { connect, type IClientOptions } from 'mqtt';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { BUOY_FINGERPRINT, buoyReading, ROOM_FINGERPRINT, roomReading } from '../core/station.ts';
import { withoutShare } from '../core/topic-filter.ts';

const INTERVAL_MS = 10_000;
/** While the broker holds back its acknowledgements no more than this is published. */
const MAX_UNACKNOWLEDGED = 20;

export interface StationOptions {
  /** The broker's, as MQTT.js takes it. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly secureContext?: SecureContext | undefined;
  readonly topic: string;
  readonly datacenterId: string | number;
  /** Default 10 s. */
  readonly intervalMs?: number;
  readonly log: Logger;
}

export interface Station {
  stop(): Promise<void>;
}

/**
 * An imitated station: a lake buoy and a room sensor that publish to the broker as any sensor would, at once when
 * connected and then every interval. Like a sensor without memory it skips a reading while it is not connected.
 */
export function startStation(options: StationOptions): Station {
  const { url, topic, datacenterId, intervalMs = INTERVAL_MS, log } = options;
  const client = connect(url, { ...loginOf(options), clientId: `fogwhisk-station-${randomUUID()}`, clean: true });
  let unacknowledged = 0;

  const publish = (reading: object) => {
    unacknowledged += 1;
    client.publish(topic, JSON.stringify(reading), { qos: 1 }, () => {
      unacknowledged -= 1;
    });
  };
  const measure = () => {
    if (!client.connected || unacknowledged >= MAX_UNACKNOWLEDGED) return;
    const { buoy, room } = messagesAt(Date.now(), datacenterId);
    publish(buoy);
    publish(room);
  };

  client.on('error', (error) =>
    log.warn({ reason: error.message }, 'the imitated station has no connection to the broker'),
  );
  client.once('connect', () => {
    log.info(
      { topic, intervalMs },
      'an imitated station (a lake buoy and a room sensor) publishes; simulate: "false" turns it off',
    );
    measure();
  });
  const timer = setInterval(measure, intervalMs);
  return {
    async stop() {
      clearInterval(timer);
      await client.endAsync(!client.connected || unacknowledged > 0);
    },
  };
}

/** What the station publishes at an instant (ms since 1970). The room sensor has no clock, so its message has no time. */
export function messagesAt(at: number, datacenterId: string | number): { buoy: object; room: object } {
  const id = Number(datacenterId);
  const datacenter_id = Number.isNaN(id) ? datacenterId : id;
  const time = new Date(at).toISOString();
  return {
    buoy: { ...buoyReading(at), device_fingerprint: BUOY_FINGERPRINT, datacenter_id, time },
    room: { ...roomReading(at), device_fingerprint: ROOM_FINGERPRINT, datacenter_id },
  };
}

/** How the station logs in to the broker, as MQTT.js takes it. */
export function loginOf({ username, password, secureContext }: StationOptions): IClientOptions {
  return {
    ...(username !== undefined && password !== undefined && { username, password }),
    ...(secureContext && { secureContext, wsOptions: { secureContext } as object }),
  };
}

/** The topic that a station or a replay publishes to by itself: one that the first registration listens to. */
export function ownTopic({ registrations }: Pick<Config, 'registrations'>): string {
  return topicFor(registrations[0]?.topics[0] ?? 'test');
}

/** A topic that a topic filter matches. */
export function topicFor(filter: string): string {
  return withoutShare(filter)
    .split('/')
    .map((level) => (level === '+' || level === '#' ? 'station' : level))
    .join('/');
}
