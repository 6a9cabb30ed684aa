// Builds what the benchmark runs (the product, the benchmark itself, the programs it starts and its Go tools) and starts it.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const OUT = join('dist', 'bench');

execFileSync(process.execPath, ['build.mjs'], { stdio: 'inherit' });
await build({
  entryPoints: [
    join('bench', 'main.ts'),
    ...readdirSync(join('bench', 'programs')).map((name) => join('bench', 'programs', name)),
  ],
  outdir: OUT,
  outbase: 'bench',
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  format: 'esm',
});
execFileSync('go', ['build', '-o', join(process.cwd(), OUT, 'tools'), '.'], {
  cwd: join('bench', 'tools'),
  env: { ...process.env, GOTOOLCHAIN: 'local' },
  stdio: 'inherit',
});
await import(`../${OUT}/main.js`);
