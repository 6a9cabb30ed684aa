import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import nano from 'nano';
import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { openStore } from '../../actions/shared/workdir/open-store.ts';
import type { StoreSecrets } from '../../actions/shared/workdir/store.ts';
import { PROVIDER_TOKEN } from './provider.ts';
import { Site } from './site.ts';
import { temporaryFolder } from './temporary.ts';

export interface LakeCycle {
  readonly lake: string;
  readonly cycle: string;
}

/** The steps that run a program, and those whose working directories each gets. */
export const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  'flare-download-noaa': [],
  'flare-process-noaa': ['flare-download-noaa'],
  'flare-download-observations': [],
  'flare-process-observations': ['flare-download-observations'],
  'flare-generate-forecast': ['flare-process-noaa', 'flare-process-observations', 'flare-download-observations'],
  'flare-visualize': ['flare-generate-forecast', 'flare-process-observations'],
};

/** These days of both lakes. */
export function cyclesOf(days: readonly string[]): LakeCycle[] {
  return ['fcre', 'bvre'].flatMap((lake) => days.map((cycle) => ({ lake, cycle })));
}

/** Where working directories are kept, where that is not the site's own folder. */
export interface StoreAccess {
  readonly url: string;
  readonly secrets: StoreSecrets;
  /** The parameters by which the site's actions find the secrets. */
  readonly parameters: Record<string, string>;
}

/** One step of a cycle, as `fogwhisk flare status --json` has it. */
export interface StatusRow {
  readonly lake: string;
  readonly cycle: string;
  readonly step: string;
  readonly state: string;
  readonly detail: string;
}

/** A site with the workflow of `test/fixtures/flare/lakes.yml` deployed on it, and the notes of its programs. */
export class FlareSite {
  readonly site: Site;
  /** lakes.yml and the stand-in programs. */
  readonly folder: string;
  readonly runs: string;
  readonly #store: Pick<StoreAccess, 'url' | 'secrets'>;

  private constructor(site: Site, folder: string, store: StoreAccess | undefined) {
    this.site = site;
    this.folder = folder;
    this.runs = join(folder, 'runs.txt');
    this.#store = store ?? { url: `fs:${join(site.dataDir, 'workdirs')}`, secrets: {} };
  }

  static async start(store?: StoreAccess): Promise<FlareSite> {
    const kept = store && { workdirStore: store.url, parameters: JSON.stringify(store.parameters) };
    const site = await Site.start({ receiptTimeoutSeconds: '5', ...kept });
    const folder = await temporaryFolder();
    await cp('test/fixtures/flare', folder, { recursive: true });
    const flare = new FlareSite(site, folder, store);
    const lakes = parse(await readFile(join(folder, 'lakes.yml'), 'utf8')) as {
      lakes: Record<string, { config?: object }>;
    };
    for (const lake of Object.values(lakes.lakes)) lake.config = { ...lake.config, runs: flare.runs };
    await writeFile(flare.lakes, stringify(lakes));
    return flare;
  }

  get lakes(): string {
    return join(this.folder, 'lakes.yml');
  }

  /** What `fogwhisk flare …` prints. */
  command(...words: string[]): Promise<string> {
    return this.site.provider.command(['flare', ...words], this.site.environment as Record<string, string>);
  }

  async status(): Promise<StatusRow[]> {
    const text = await this.command('status', '--json', '--lakes', this.lakes, '--cycles', '1000');
    return text.startsWith('[') ? (JSON.parse(text) as StatusRow[]) : [];
  }

  /** A document of the steps' state. */
  async document(id: string): Promise<Record<string, unknown>> {
    return (await this.#state()).get(id) as unknown as Promise<Record<string, unknown>>;
  }

  async put(document: Record<string, unknown>): Promise<void> {
    await (await this.#state()).insert(document as never);
  }

  async #state() {
    const url = new URL(this.site.provider.address('CouchDB'));
    url.username = 'fogwhisk';
    url.password = (await this.site.credentials()).couchdbPassword;
    return nano(url.href.replace(/\/$/, '')).use('flare');
  }

  /** Begins cycles as their alarm and webhook would on that day. */
  async begin(cycles: readonly LakeCycle[]): Promise<void> {
    for (const { lake, cycle } of cycles) {
      for (const name of ['flare-download-noaa-alarm', 'flare-data-repo-push']) {
        const response = await fetch(`${this.site.provider.url}/firings`, {
          method: 'POST',
          headers: { authorization: `Bearer ${PROVIDER_TOKEN}`, 'content-type': 'application/json' },
          body: JSON.stringify({ trigger: `${name}-${lake}`, payload: { cycle }, key: randomUUID() }),
        });
        expect(response.status).toBe(202);
      }
    }
  }

  /** `begin` and `end` of programs in their order. */
  async ran(): Promise<string[]> {
    return (await readFile(this.runs, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  }

  /** Resolves when every step of these cycles is done; asks again and again, since a cycle's end has no other sign. */
  async completed(cycles: readonly LakeCycle[], timeoutMs: number): Promise<void> {
    const steps = Object.keys(PROGRAMS).length + 1; // and the compound trigger
    for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
      const done = (await this.status()).filter(({ state }) => state === 'done');
      const isComplete = (each: LakeCycle) =>
        done.filter(({ lake, cycle }) => lake === each.lake && cycle === each.cycle).length === steps;
      if (cycles.every(isComplete)) return;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const status = await this.command('status', '--lakes', this.lakes, '--cycles', '1000');
    throw new Error(`not complete:\n${status}\n${this.site.provider.output().slice(-3_000)}`);
  }

  /** A container's archive of a cycle, from the store. */
  async #archive({ lake, cycle }: LakeCycle, container: string): Promise<Buffer> {
    const store = await openStore(this.#store.url, this.#store.secrets);
    const stamp = cycle.replaceAll('-', '');
    const { content } = await store.get(`${lake}/${container}/${lake}_${stamp}_${container}_workingdirectory.tar.gz`);
    return buffer(content);
  }

  /** A file of an archive, by GNU tar. */
  async content(cycle: LakeCycle, container: string, name: string): Promise<string> {
    return tar(['xzO', `${container}/${name}`], await this.#archive(cycle, container));
  }

  /** Every step's inputs are, byte for byte, what the steps before pushed for this cycle, by GNU tar's account. */
  async expectWhole(cycle: LakeCycle): Promise<void> {
    const archives = new Map<string, Buffer>();
    for (const container of Object.keys(PROGRAMS)) archives.set(container, await this.#archive(cycle, container));
    const fileOf = (container: string, name: string) => tar(['xzO', `${container}/${name}`], archives.get(container)!);
    for (const [container, dependencies] of Object.entries(PROGRAMS)) {
      const files = tar(['tz'], archives.get(container)!)
        .split('\n')
        .filter((name) => name && !name.endsWith('/'));
      const expected = ['flare-config.yml', 'inputs.txt', 'output.txt'].map((name) => `${container}/${name}`);
      expect(files.sort()).toEqual(expected);
      expect(fileOf(container, 'output.txt').split('\n')[0]).toBe(`${cycle.lake} ${cycle.cycle} ${container}`);
      const inputs = fileOf(container, 'inputs.txt');
      for (const dependency of dependencies) {
        for (const name of ['output.txt', 'inputs.txt']) {
          const digest = createHash('sha256').update(fileOf(dependency, name)).digest('hex');
          expect(inputs).toContain(`${digest}  ./${dependency}/${name}\n`);
        }
      }
    }
  }
}

function tar(args: string[], archive: Buffer): string {
  return execFileSync('tar', args, { input: archive, encoding: 'utf8', maxBuffer: 1e8 });
}
