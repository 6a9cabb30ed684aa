import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { program } from './programs.ts';

/** A host of its own on a {@link Network}. */
export interface Host {
  readonly address: string;
  /** What goes before a command that is to run on it. */
  readonly within: readonly string[];
}

/** The addresses of hosts are 10.P.N.2, that of the router 10.P.N.1; the test itself is host 9. */
const PREFIX = `10.${100 + (process.pid % 100)}`;
const TEST = 9;

/**
 * A center and its sites as hosts (network namespaces) around a router, which cuts them off, loses packets and counts who
 * opens connections. The test reaches every host all the while.
 */
export class Network {
  readonly #id = `fw${process.pid}`;
  readonly #namespaces: string[] = [];

  /** Whether this machine lets us make namespaces, and has the programs. */
  static get isPossible(): boolean {
    if (process.getuid?.() !== 0 || !program('ip') || !program('nft')) return false;
    try {
      const probe = `fogwhisk-probe-${process.pid}`;
      execFileSync('ip', ['netns', 'add', probe], { stdio: 'ignore' });
      execFileSync('ip', ['netns', 'del', probe], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  }

  constructor() {
    onTestFinished(() => {
      // Their ends of the links, and the test's, go with them.
      for (const namespace of this.#namespaces) run('ip', 'netns', 'del', namespace);
    });
    this.#addNamespace(this.#router);
    this.#onRouter('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    run('ip', 'link', 'add', `${this.#id}t`, 'type', 'veth', 'peer', 'name', 'test', 'netns', this.#router);
    this.#onRouter('ip', 'addr', 'add', `${PREFIX}.${TEST}.1/24`, 'dev', 'test');
    this.#onRouter('ip', 'link', 'set', 'test', 'up');
    run('ip', 'addr', 'add', `${PREFIX}.${TEST}.2/24`, 'dev', `${this.#id}t`);
    run('ip', 'link', 'set', `${this.#id}t`, 'up');
    run('ip', 'route', 'add', `${PREFIX}.0.0/16`, 'via', `${PREFIX}.${TEST}.1`);
  }

  get #router(): string {
    return `${this.#id}-router`;
  }

  /** @param number 1 to 8; 1 is the center */
  addHost(number: number): Host {
    const namespace = `${this.#id}-${number}`;
    const link = `host${number}`;
    this.#addNamespace(namespace);
    run('ip', '-n', namespace, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', link, 'netns', this.#router);
    run('ip', '-n', namespace, 'addr', 'add', `${PREFIX}.${number}.2/24`, 'dev', 'eth0');
    run('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
    run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
    this.#onRouter('ip', 'addr', 'add', `${PREFIX}.${number}.1/24`, 'dev', link);
    this.#onRouter('ip', 'link', 'set', link, 'up');
    run('ip', '-n', namespace, 'route', 'add', 'default', 'via', `${PREFIX}.${number}.1`);
    return { address: `${PREFIX}.${number}.2`, within: ['ip', 'netns', 'exec', namespace] };
  }

  /** Watches the links of the sites to the center from here on, and loses this part of their packets. */
  watch(loss: number): void {
    const center = `iifname "host1" oifname != "test"`;
    const rules = [
      'table inet wan {',
      'set cut { type ifname; }',
      'counter opened {',
      '}',
      'chain forward {',
      'type filter hook forward priority 0; policy accept;',
      'iifname "test" accept; oifname "test" accept;',
      `${center} tcp flags & (syn | ack) == syn counter name opened`,
      'iifname @cut drop; oifname @cut drop;',
      `numgen random mod 1000 < ${Math.round(loss * 1_000)} drop`,
      '}',
      '}',
    ];
    this.#onRouter('nft', rules.join('\n'));
  }

  /** Drops whatever goes to or from a host, but for the test's own. */
  cut(number: number): void {
    this.#onRouter('nft', `add element inet wan cut { "host${number}" }`);
  }

  heal(number: number): void {
    this.#onRouter('nft', `delete element inet wan cut { "host${number}" }`);
  }

  /** How many packets by which a connection is opened the center has sent to a site. */
  get openedByCenter(): number {
    const text = this.#onRouter('nft', 'list counter inet wan opened');
    return Number(/packets (\d+)/.exec(text)![1]);
  }

  #addNamespace(name: string): void {
    run('ip', 'netns', 'add', name);
    this.#namespaces.push(name);
  }

  #onRouter(...command: string[]): string {
    return run('ip', 'netns', 'exec', this.#router, ...command);
  }
}

function run(name: string, ...args: string[]): string {
  return execFileSync(program(name)!, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
