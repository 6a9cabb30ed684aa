import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What `bench/run.mjs` built, relative to the repository's root, where the benchmark is started. */
export const FOGWHISK = join('dist', 'main.js');
export const TOOLS = join('dist', 'bench', 'tools');
export const benchProgram = (name: string) => join('dist', 'bench', 'programs', `${name}.js`);

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } };

/** Node.js's options of `npm start`. */
export const NODE_FLAGS = scripts.start.match(/--\S+/g) ?? [];
