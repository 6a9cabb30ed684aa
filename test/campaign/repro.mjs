// Bundles the campaign and runs it: `npm run campaign -- --faults N --seed S --minutes M`. Imports of the product stay
// imports of dist/, so that what is tested is what was built.
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const outdir = resolve(root, 'dist/campaign');

const productAsBuilt = {
  name: 'product-as-built',
  setup({ onResolve }) {
    onResolve({ filter: /\/src\/.*\.ts$/ }, ({ path, resolveDir }) => {
      const built = resolve(root, 'dist', relative(resolve(root, 'src'), resolve(resolveDir, path)));
      return { path: relative(outdir, built).split(sep).join('/').replace(/\.ts$/, '.js'), external: true };
    });
  },
};

await build({
  entryPoints: ['repro-main.ts', 'action-host.ts', 'influxdb-host.ts'].map((name) => resolve(root, 'test/campaign', name)),
  outdir,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  packages: 'external',
  plugins: [productAsBuilt],
  logLevel: 'warning',
});
await import(resolve(outdir, 'repro-main.js'));
