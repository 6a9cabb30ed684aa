import { readFileSync } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { kill } from '../support/processes.ts';
import type { HttpFault } from './http-link.ts';
import type { Ledger } from './ledger.ts';
import type { Program } from './program.ts';
import type { Random } from './random.ts';
import type { HttpConnection, Site } from './site.ts';
import type { TcpLink } from './tcp-link.ts';

/** What can go wrong. One thing at a time goes wrong with the same part, and several with the site. */
export interface FaultKind {
  readonly name: string;
  readonly parts: readonly string[];
  /** How long it lasts, in s. */
  readonly seconds: readonly [min: number, max: number];
  begin(): Promise<void> | void;
  heal(): Promise<void> | void;
}

/** A fault of the plan; times in s since the start. */
export interface PlannedFault {
  readonly kind: FaultKind;
  readonly at: number;
  readonly seconds: number;
}

/** Every kind that this machine can do, and why it can't do others. */
export function faultKinds(site: Site, ledger: Ledger): { kinds: FaultKind[]; skipped: string[] } {
  const { broker, provider, actionHost, influxdb, mqtt, openwhisk, influx, callbacks } = site;
  const kinds: FaultKind[] = [
    killed(provider, 'SIGKILL'),
    killed(provider, 'SIGTERM'),
    stopped(provider),
    // While the provider is away, Mosquitto alone has up to 2 s of readings in nothing but its memory.
    {
      ...killed(broker, 'SIGKILL', () => ledger.brokerKilled()),
      parts: [broker.name, provider.name, 'link MQTT', 'disk'],
    },
    killed(broker, 'SIGTERM'),
    stopped(broker),
    killed(actionHost, 'SIGKILL'),
    killed(actionHost, 'SIGTERM'),
    stopped(actionHost),
    runtimesKilled(actionHost),
    killed(influxdb, 'SIGKILL'),
    killed(influxdb, 'SIGINT'), // influxd does not handle SIGTERM
    stopped(influxdb),
    ...connectionFaults('MQTT', mqtt),
    {
      name: 'MQTT: acknowledgements dropped',
      parts: ['link MQTT'],
      seconds: [2, 8],
      begin: () => mqtt.drop('fromClient'),
      heal: () => mqtt.cutDropping(),
    },
    ...httpFaults('OpenWhisk', openwhisk, [401, 404, 429, 500, 503]),
    ...httpFaults('InfluxDB', influx, [401, 404, 429, 500, 503]),
    ...httpFaults('callbacks', callbacks, [401, 404, 429, 500, 503]),
    httpFault('callbacks', callbacks, 'receipts lost', { kind: 'lost' }),
    httpFault('callbacks', callbacks, 'receipts doubled', { kind: 'doubled' }),
  ];
  const skipped: string[] = [];
  if (site.isDataLimited) kinds.push(fullDisk(site.dataDir));
  else skipped.push('full disk: a tmpfs cannot be mounted here');
  if (site.setClock) kinds.push(...clockSteps(site.setClock));
  else skipped.push('clock steps: libfaketime is not installed');
  return { kinds, skipped };
}

/** What is healed may be hit again so long after. */
const RECOVERY_S = 2;

/** `count` faults over the given time, all kinds equally often, no two at once with the same part. */
export function planFaults(
  kinds: readonly FaultKind[],
  count: number,
  seconds: number,
  random: Random,
): PlannedFault[] {
  const starts = Array.from({ length: count }, () => random.between(0, seconds)).sort((a, b) => a - b);
  const busyUntil = new Map<string, number>();
  let deck: FaultKind[] = [];
  return starts.map((at) => {
    if (deck.length === 0) deck = random.shuffled(kinds);
    const freeAt = ({ parts }: FaultKind) => Math.max(...parts.map((part) => busyUntil.get(part) ?? 0));
    const free = deck.findIndex((kind) => freeAt(kind) <= at);
    const [kind] = deck.splice(Math.max(0, free), 1) as [FaultKind];
    const start = Math.max(at, freeAt(kind));
    const lasting = random.between(...kind.seconds);
    for (const part of kind.parts) busyUntil.set(part, start + lasting + RECOVERY_S);
    return { kind, at: start, seconds: lasting };
  });
}

function killed(program: Program, signal: NodeJS.Signals, onDown = () => {}): FaultKind {
  return {
    name: `${program.name}: ${signal === 'SIGKILL' ? 'kill -9' : signal}`,
    parts: [program.name],
    seconds: [0.1, 4],
    async begin() {
      await program.end(signal);
      onDown();
    },
    heal: () => program.start(),
  };
}

function stopped(program: Program): FaultKind {
  return {
    name: `${program.name}: SIGSTOP`,
    parts: [program.name],
    seconds: [1, 8],
    begin: () => program.signal('SIGSTOP'),
    heal: () => program.signal('SIGCONT'),
  };
}

function runtimesKilled(host: Program): FaultKind {
  return {
    name: 'runtimes: kill -9',
    parts: [host.name],
    seconds: [0, 0],
    begin() {
      for (const pid of childrenOf(host).filter(isRuntime)) kill(Number(pid));
    },
    heal() {},
  };
}

function childrenOf({ pid }: Program): string[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
  } catch {
    return []; // it has just ended
  }
}

function isRuntime(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('/runtimes/');
  } catch {
    return false;
  }
}

function connectionFaults(name: string, link: TcpLink): FaultKind[] {
  const parts = [`link ${name}`];
  return [
    { name: `${name}: connections cut`, parts, seconds: [0, 0], begin: () => link.cut(), heal() {} },
    {
      name: `${name}: connections half open`,
      parts,
      seconds: [2, 20],
      begin: () => link.drop('both'),
      heal: () => link.cutDropping(),
    },
    {
      name: `${name}: connections stalled`,
      parts,
      seconds: [1, 8],
      begin: () => link.stall(),
      heal: () => link.resume(),
    },
    {
      name: `${name}: connections slow`,
      parts,
      seconds: [2, 8],
      begin() {
        link.delayMs = 40;
      },
      heal() {
        link.delayMs = 0;
      },
    },
  ];
}

function httpFaults(name: string, connection: HttpConnection, statuses: readonly number[]): FaultKind[] {
  return [
    ...connectionFaults(name, connection.tcp),
    ...statuses.map((status) => httpFault(name, connection, `answers ${status}`, { kind: 'status', status })),
    httpFault(name, connection, 'answers slow', { kind: 'slow', ms: 1_500 }),
    httpFault(name, connection, 'answers hanging', { kind: 'hanging', reaches: true }),
    httpFault(name, connection, 'requests hanging', { kind: 'hanging', reaches: false }),
    httpFault(name, connection, 'answers truncated', { kind: 'truncated' }),
  ];
}

function httpFault(name: string, { http }: HttpConnection, what: string, fault: HttpFault): FaultKind {
  return {
    name: `${name}: ${what}`,
    parts: [`link ${name}`],
    seconds: [1, 8],
    begin() {
      http.fault = fault;
    },
    heal: () => http.heal(),
  };
}

function fullDisk(dataDir: string): FaultKind {
  const ballast = join(dataDir, 'ballast');
  return {
    name: 'provider: full disk',
    parts: ['disk'],
    seconds: [2, 8],
    async begin() {
      const file = await open(ballast, 'w');
      const chunk = Buffer.alloc(1024 * 1024);
      try {
        for (let size = chunk.length; size >= 1; ) {
          const room = await file.write(chunk, 0, size).catch((error: NodeJS.ErrnoException) => {
            if (error.code !== 'ENOSPC') throw error;
          });
          if (!room) size = Math.floor(size / 16);
        }
      } finally {
        await file.close();
      }
    },
    heal: () => unlink(ballast),
  };
}

/** A step stays until another one. */
function clockSteps(setClock: (offsetSeconds: number) => Promise<void>): FaultKind[] {
  let offset = 0;
  return [1, -1].map((hours) => ({
    name: `provider: clock ${hours > 0 ? '+' : ''}${hours} h`,
    parts: ['clock'],
    seconds: [0, 0],
    begin() {
      offset += hours * 3_600;
      return setClock(offset);
    },
    heal() {},
  }));
}
