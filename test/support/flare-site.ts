import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import openwhisk, { type Client } from 'openwhisk';
import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { openStore, type StoreSecrets } from '../../actions/shared/workdir/store.ts';
import { hookToken } from '../../src/core/token.ts';
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

/** An action that begins cycles: it hands on what it was posted, so that a test can say which day it is. */
const BEGIN = `async function main({ batchId, receipt, body }) {
  const headers = { authorization: 'Bearer ' + receipt.token, 'content-type': 'application/json' };
  const answer = { batchId, stored: 'all', next: body.next };
  const response = await fetch(receipt.url, { method: 'POST', headers, body: JSON.stringify(answer) });
  if (!response.ok) throw new Error('HTTP ' + response.status);
  return { ok: true };
}`;

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
    const hooks = JSON.stringify([{ name: 'begin' }, { name: 'flare-data-repo-push-fcre' }]);
    const kept = store && { workdirStore: store.url, parameters: JSON.stringify(store.parameters) };
    const site = await Site.start({ hooks, receiptTimeoutSeconds: '5', ...kept });
    const folder = await temporaryFolder();
    await cp('test/fixtures/flare', folder, { recursive: true });
    const flare = new FlareSite(site, folder, store);
    const lakes = parse(await readFile(join(folder, 'lakes.yml'), 'utf8')) as {
      lakes: Record<string, { config?: object }>;
    };
    for (const lake of Object.values(lakes.lakes)) lake.config = { ...lake.config, runs: flare.runs };
    await writeFile(flare.lakes, stringify(lakes));
    const client = await flare.openwhisk();
    await client.actions.update({ name: 'begin-cycles', action: BEGIN });
    await client.triggers.update({ name: 'begin' });
    await client.rules.update({ name: 'begin-rule', trigger: 'begin', action: 'begin-cycles' });
    return flare;
  }

  get lakes(): string {
    return join(this.folder, 'lakes.yml');
  }

  async openwhisk(): Promise<Client> {
    const { owAuth } = await this.site.credentials();
    return openwhisk({ api: `${this.site.provider.address('OpenWhisk')}/api/v1/`, api_key: owAuth });
  }

  /** What `fogwhisk flare …` prints. */
  command(...words: string[]): Promise<string> {
    return this.site.provider.command(['flare', ...words], this.site.environment as Record<string, string>);
  }

  async status(): Promise<StatusRow[]> {
    const text = await this.command('status', '--json', '--lakes', this.lakes, '--cycles', '1000');
    return text.startsWith('[') ? (JSON.parse(text) as StatusRow[]) : [];
  }

  async post(hook: string, body: unknown): Promise<Response> {
    const { siteKey } = await this.site.credentials();
    return fetch(`${this.site.provider.url}/hooks/${hook}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${hookToken(siteKey, hook)}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  /** Begins cycles as their alarm and webhook would on that day. */
  async begin(cycles: ReadonlyArray<{ lake: string; cycle: string }>): Promise<void> {
    const next = cycles.flatMap(({ lake, cycle }) =>
      ['flare-download-noaa-alarm', 'flare-data-repo-push'].map((name) => ({
        trigger: `${name}-${lake}`,
        payload: { cycle },
        key: randomUUID(),
      })),
    );
    const response = await this.post('begin', { next });
    if (response.status !== 202) throw new Error(`begin: HTTP ${response.status}`);
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

  /** Every step's inputs are, byte for byte, what the steps before pushed for this cycle, by GNU tar's account. */
  async expectWhole({ lake, cycle }: LakeCycle): Promise<void> {
    const archives = new Map<string, Buffer>();
    const store = await openStore(this.#store.url, this.#store.secrets);
    for (const container of Object.keys(PROGRAMS)) {
      const stamp = cycle.replaceAll('-', '');
      const { content } = await store.get(`${lake}/${container}/${lake}_${stamp}_${container}_workingdirectory.tar.gz`);
      archives.set(container, await buffer(content));
    }
    const tar = (args: string[], container: string) =>
      execFileSync('tar', args, { input: archives.get(container)!, encoding: 'utf8', maxBuffer: 1e8 });
    const fileOf = (container: string, name: string) => tar(['xzO', `${container}/${name}`], container);
    for (const [container, dependencies] of Object.entries(PROGRAMS)) {
      const files = tar(['tz'], container)
        .split('\n')
        .filter((name) => name && !name.endsWith('/'));
      expect(files.sort()).toEqual(
        ['flare-config.yml', 'inputs.txt', 'output.txt'].map((name) => `${container}/${name}`),
      );
      expect(fileOf(container, 'output.txt').split('\n')[0]).toBe(`${lake} ${cycle} ${container}`);
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
