import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * Who may import whom, as data. A row is a folder (or file) of the repository and what it may import besides itself;
 * the longest row that a file lies under counts. `adapters/*` stands for each folder below alone.
 */
const ARROWS: Record<string, string[]> = {
  'src/core': [],
  'src/storage': ['src/core'],
  'src/ports': ['src/core'],
  'src/flows': ['src/core', 'src/ports'],
  'src/adapters/http-endpoint.ts': [],
  'src/adapters/*': ['src/core', 'src/ports', 'src/storage', 'src/adapters/http-endpoint.ts'],
  'src/http': ['src/core', 'src/ports', 'src/flows'],
  'src/embedded/http.ts': ['src/core'],
  'src/embedded/*': ['src/core', 'src/storage', 'src/embedded/http.ts'],
  'src/config.ts': ['src/core'],
  'src/tls.ts': ['src/core', 'src/config.ts'],
  'src/credentials.ts': ['src/config.ts', 'src/tls.ts', 'src/storage'],
  'src/embedded-site.ts': ['src/config.ts', 'src/credentials.ts', 'src/embedded'],
  'src/center.ts': [
    'src/core',
    'src/flows',
    'src/adapters',
    'src/config.ts',
    'src/credentials.ts',
    'src/embedded-site.ts',
  ],
  'src/service.ts': [
    'src/core',
    'src/ports',
    'src/flows',
    'src/adapters',
    'src/http',
    'src/center.ts',
    'src/config.ts',
    'src/credentials.ts',
    'src/embedded-site.ts',
    'src/embedded/http.ts',
  ],
  'src/cli': ['src'],
  'src/main.ts': ['src/cli'],
  'actions/shared': [],
  'actions/*': ['actions/shared'],
};

const ROOT = join(import.meta.dirname, '..');

interface Import {
  readonly from: string;
  readonly to: string;
}

/** Relative imports, exports and dynamic imports of a source text, types included. */
function importsOf(file: string, text: string): Import[] {
  const specifiers = [...text.matchAll(/\b(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g)].map((match) => match[1]!);
  return specifiers.map((specifier) => ({ from: file, to: relative(ROOT, resolve(ROOT, dirname(file), specifier)) }));
}

/** The row that a file lies under: its name in the table, and the folder that it stands for. */
function rowOf(file: string): { row: string; place: string } {
  for (let place = file; place !== '.'; place = dirname(place)) {
    if (ARROWS[place]) return { row: place, place };
    const any = `${dirname(place)}/*`;
    if (ARROWS[any] && place !== file) return { row: any, place };
  }
  throw new Error(`${file} lies under no row of the table`);
}

function lies(file: string, place: string): boolean {
  return file === place || file.startsWith(`${place}/`);
}

function violations(imports: readonly Import[]): string[] {
  return imports
    .filter(({ from, to }) => {
      const { row, place } = rowOf(from);
      return !lies(to, place) && !ARROWS[row]!.some((allowed) => lies(to, allowed));
    })
    .map(({ from, to }) => `${from} must not import ${to}`);
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

describe('the import arrows', () => {
  const files = [...sourceFiles('src'), ...sourceFiles('actions')];

  it('are kept by every file', () => {
    const imports = files.flatMap((file) => importsOf(file, readFileSync(join(ROOT, file), 'utf8')));
    expect(files.length).toBeGreaterThan(30);
    expect(imports.length).toBeGreaterThan(60);
    expect(violations(imports)).toEqual([]);
  });

  it.each([
    ['src/core/batch.ts', "import type { Clock } from '../ports/clock.ts';"],
    ['src/flows/ingest.ts', "import { FileJournal } from '../adapters/journal/journal.ts';"],
    ['src/adapters/mqtt/broker.ts', "export { x } from '../journal/journal.ts';"],
    ['src/embedded/broker/broker.ts', "const x = await import('../couchdb/server.ts');"],
    ['src/http/server.ts', "import '../service.ts';"],
    ['actions/addReadingToDb/main.ts', "import { x } from '../../src/core/event.ts';"],
  ])('notice %s: %s', (file, text) => {
    expect(violations(importsOf(file, text))).toHaveLength(1);
  });
});
