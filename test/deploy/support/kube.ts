import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe } from 'vitest';
import { describeLong, program } from '../../support/programs.ts';
import { buildImage, IMAGE, ROOT } from './images.ts';

const run = promisify(execFile);
const KUBE = join(ROOT, '../shared/services/kube');
const IMAGES = join(import.meta.dirname, '../images');
const MAX_OUTPUT = 64 * 1024 * 1024;

const PROGRAMS = ['kubectl', 'kube-apiserver', 'kubelet', 'containerd', 'influxd'];

/** A suite that takes a Kubernetes of its own and several minutes: run where its programs are, skipped elsewhere. */
export function describeWithKubernetes(title: string, suite: () => void): void {
  const absent = PROGRAMS.filter((name) => !program(name));
  if (existsSync(KUBE) && absent.length === 0) {
    describeLong(title, suite);
    return;
  }
  console.warn(`skipped: ${title}: needs ../shared/services/kube, and on PATH ${absent.join(', ') || 'nothing more'}`);
  describe.skip(title, suite);
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** A Kubernetes of one node on this machine, thrown away at the end. */
export class Cluster {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async up(): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-kube-'));
    await run(KUBE, ['up', folder, '--node'], { maxBuffer: MAX_OUTPUT });
    return new Cluster(folder);
  }

  async down(): Promise<void> {
    await run(KUBE, ['down', this.#folder], { maxBuffer: MAX_OUTPUT });
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Builds the images that the manifests name and brings them to the node. */
  async loadImages(): Promise<void> {
    await buildImage(IMAGE, ROOT);
    const mosquitto = 'localhost/mosquitto:test';
    await buildImage(mosquitto, join(IMAGES, 'mosquitto'));
    const influxdb = 'localhost/influxdb:test';
    const context = await mkdtemp(join(tmpdir(), 'fogwhisk-influxdb-'));
    try {
      await cp(join(IMAGES, 'influxdb'), context, { recursive: true });
      const influxd = program('influxd')!;
      await copyFile(influxd, join(context, 'influxd'));
      await copyFile(join(dirname(influxd), 'zoneinfo.zip'), join(context, 'zoneinfo.zip'));
      await buildImage(influxdb, context);
    } finally {
      await rm(context, { recursive: true });
    }
    await run(KUBE, ['load', IMAGE, 'docker.io/library/fogwhisk:0.1.0']);
    await run(KUBE, ['load', mosquitto, 'docker.io/library/eclipse-mosquitto:2.0.22']);
    await run(KUBE, ['load', influxdb, 'docker.io/library/influxdb:2.7.12']);
  }

  /** `kubectl`, with a text on its standard input where one is given. @throws Error with what it said */
  async kubectl(args: readonly string[], input?: string): Promise<Output> {
    const started = run('kubectl', ['--kubeconfig', join(this.#folder, 'kubeconfig'), ...args], {
      maxBuffer: MAX_OUTPUT,
    });
    started.child.stdin!.end(input);
    return started;
  }

  /** What `kubectl get -o json` finds. */
  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse((await this.kubectl(['get', '-o', 'json', ...args])).stdout) as T;
  }

  /** Everything that a Pod writes from now until it ends. */
  logs(namespace: string, pod: string): Promise<string> {
    const config = ['--kubeconfig', join(this.#folder, 'kubeconfig')];
    const child = spawn('kubectl', [...config, 'logs', '--follow', '--namespace', namespace, pod], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
    });
    return new Promise((resolve) => child.once('close', () => resolve(text)));
  }
}
