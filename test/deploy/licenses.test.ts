import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ROOT } from './support/images.ts';

interface License {
  readonly name: string;
  readonly license: string;
}

/** What an expression over scripts/licenses.mjs gives, as a release runs it: on plain Node.js. */
async function evaluated<T>(expression: string): Promise<T> {
  const module = JSON.stringify(pathToFileURL(join(ROOT, 'scripts/licenses.mjs')));
  const code = `import { licenses, unaccepted } from ${module}; console.log(JSON.stringify(${expression}));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code]);
  return JSON.parse(stdout) as T;
}

describe('what fogwhisk runs with', () => {
  it('has licences that have been accepted', async () => {
    const root = JSON.stringify(ROOT);
    expect(await evaluated<License[]>(`unaccepted(licenses(${root}))`)).toEqual([]);
    const names = (await evaluated<License[]>(`licenses(${root})`)).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['mqtt', 'zod', '@duckdb/node-bindings-linux-arm64']));
    expect(names).not.toContain('typescript');
  });

  it('would be asked about another licence', async () => {
    expect(await evaluated<License[]>(`unaccepted([{ name: 'x', license: 'AGPL-3.0' }])`)).toHaveLength(1);
  });
});
