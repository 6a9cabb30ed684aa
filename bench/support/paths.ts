import { join } from 'node:path';

/** What `bench/run.mjs` built, relative to the repository's root, where the benchmark is started. */
export const FOGWHISK = join('dist', 'main.js');
export const TOOLS = join('dist', 'bench', 'tools');
export const benchProgram = (name: string) => join('dist', 'bench', 'programs', `${name}.js`);
