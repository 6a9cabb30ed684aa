// Builds what Node.js runs: dist/ from src/ by tsc, and each action to one file by esbuild. Run by `npm ci` (prepare).
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const tsc = spawnSync(
  process.execPath,
  [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'],
  { stdio: 'inherit' },
);
if (tsc.status !== 0) process.exit(tsc.status ?? 1);

// npx links to it, and makes it executable only when it does so for the first time.
chmodSync(join('dist', 'main.js'), 0o755);

// Programs that the embedded OpenWhisk starts as they are.
cpSync(join('src', 'embedded', 'openwhisk', 'runtimes'), join('dist', 'embedded', 'openwhisk', 'runtimes'), {
  recursive: true,
  filter: (source) => !source.endsWith('.ts'),
});

const actions = readdirSync('actions', { withFileTypes: true }).filter(
  (entry) => entry.isDirectory() && existsSync(join('actions', entry.name, 'main.ts')),
);
await build({
  entryPoints: Object.fromEntries(actions.map(({ name }) => [name, join('actions', name, 'main.ts')])),
  outdir: join('dist', 'actions'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  legalComments: 'none',
  // The S3 client is large, and a platform stores and compiles each action as a whole.
  minify: true,
  keepNames: true,
});
// Actions are CommonJS, and flare.js is a program as well: the entry of a container image.
writeFileSync(join('dist', 'actions', 'package.json'), '{"type": "commonjs"}\n');
