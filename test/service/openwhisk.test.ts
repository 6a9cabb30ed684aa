import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { couchdbIn, openwhiskOn } from '../embedded/openwhisk/host.ts';
import { describeWith } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The requests whose answers of a real controller are recorded, and the program that holds another API's against them. */
const compare = resolve('../shared/openwhisk/compare');

/** The key of every Apache OpenWhisk standalone's `guest`, which the recorded requests use. */
const guestKey =
  '23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP';

/** The recorded answers show it, as part of the `Host` header. */
const port = 3299;

const otherRuntimes = 'lists or needs a runtime that this host does not offer';
const countsJava = 'one action fewer, as the Java action could not be created';
const olderNode = 'nodejs:18 is not offered, so the versions that follow are one behind';
const key = "the caller's authorization is kept away from actions";
const concurrent =
  "an action may allow several activations in one process, where the site does not ask for OpenWhisk's own limits";
const pages = 'a page for people who run Apache OpenWhisk itself';

/** Every answer that differs, and why it stays so. */
const stays: Readonly<Record<string, string>> = {
  'info-auth: GET /': otherRuntimes,
  'info-auth: GET /api/v1/api-docs': pages,
  'info-auth: GET /api-docs': pages,
  'info-auth: GET /metrics': pages,
  'info-auth: GET /api/v1/namespaces/_/limits': concurrent,
  'info-auth: GET /api/v1/namespaces/guest/limits': concurrent,
  'actions-create: change kind': otherRuntimes,
  'actions-create: overwrite=yes': olderNode,
  'actions-create: overwrite=TRUE': olderNode,
  'actions-create: overwrite=1': olderNode,
  'actions-create: kind python:3': otherRuntimes,
  'actions-create: kind python:default': otherRuntimes,
  'actions-create: java without main': otherRuntimes,
  'actions-create: java with main': otherRuntimes,
  'actions-create-errors: unknown kind': otherRuntimes,
  'actions-create-errors: unknown kind family': otherRuntimes,
  'actions-create-errors: unknown kind family:default': otherRuntimes,
  'actions-create-errors: kind nodejs without version': otherRuntimes,
  'actions-create-errors: empty kind': otherRuntimes,
  'actions-create-errors: limits: conc 2': concurrent,
  'actions-get-list-delete: get java': otherRuntimes,
  'actions-get-list-delete: list': countsJava,
  'actions-get-list-delete: list trailing slash': countsJava,
  'actions-get-list-delete: limit=0': countsJava,
  'actions-get-list-delete: limit=200': countsJava,
  'actions-get-list-delete: count=true': countsJava,
  'actions-get-list-delete: count=true skip=3': countsJava,
  'actions-get-list-delete: count=true limit=2': countsJava,
  'rules: activation of action by rule guest/r3': key,
  'rules: activation of action by rule guest/r1': key,
  'rules: list action by rule activation docs=true': key,
};

describeWith(['python3', 'curl'], 'against the recorded answers of Apache OpenWhisk', () => {
  if (!existsSync(compare)) {
    console.warn(`skipped: ${compare} is not there`);
    return void describe.skip('compare is absent');
  }

  test('at least 96 % are equal, and every one that is not is known', { timeout: 600_000 }, async () => {
    const folder = await temporaryFolder();
    const couchdb = await couchdbIn(join(folder, 'couchdb'));
    const openwhisk = await withoutPython(folder, () =>
      openwhiskOn(couchdb.url, join(folder, 'openwhisk'), { port, authKey: guestKey, namespaces: {} }),
    );
    onTestFinished(async () => {
      await openwhisk.close();
      await couchdb.close();
    });
    const report = join(folder, 'differences.jsonl');
    const child = spawn(compare, [openwhisk.url, '--json', report], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await new Promise((resolve) => child.once('close', resolve));

    const [, equal, total] = /^all +(\d+) of +(\d+) equal$/m.exec(output) ?? [];
    console.info(`OpenWhisk's answers: ${equal} of ${total} equal`);
    expect(Number(total)).toBe(858);
    const differing = (await readFile(report, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { topic: string; request: string });
    expect(differing.map(({ topic, request }) => `${topic}: ${request}`).sort()).toEqual(Object.keys(stays).sort());
    expect(Number(equal) / Number(total)).toBeGreaterThanOrEqual(0.96);
  });
});

/** The recorded controller had no `python:3`: an action of that name, made by one topic, would stand in the way of others. */
async function withoutPython<T>(folder: string, start: () => Promise<T>): Promise<T> {
  const path = process.env.PATH ?? '';
  const bin = join(folder, 'bin');
  await mkdir(bin);
  for (const program of ['sh', 'sleep']) {
    const found = path
      .split(delimiter)
      .map((entry) => join(entry, program))
      .find((file) => existsSync(file));
    if (found) await symlink(found, join(bin, program));
  }
  process.env.PATH = bin;
  try {
    return await start();
  } finally {
    process.env.PATH = path;
  }
}
