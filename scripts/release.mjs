// node scripts/release.mjs [FOLDER]: makes what a release consists of, in `release/` unless told otherwise: the package
// that `npx` runs, its bill of materials, the licences, and the checksums of all. It publishes nothing.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { licenses, unaccepted } from './licenses.mjs';

const root = join(import.meta.dirname, '..');
const folder = process.argv[2] ?? join(root, 'release');
const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const npm = (...args) =>
  execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

if (!readFileSync(join(root, 'CHANGELOG.md'), 'utf8').includes(`\n## ${version}\n`)) {
  throw new Error(`CHANGELOG.md has no section "## ${version}": say there what changes for operators.`);
}
const strange = unaccepted(licenses(root));
if (strange.length > 0) {
  throw new Error(`licences that nobody has accepted (scripts/licenses.mjs): ${JSON.stringify(strange)}`);
}
npm('audit', '--omit=dev');

mkdirSync(folder, { recursive: true });
npm('pack', '--pack-destination', folder);
const sbom = npm('sbom', '--omit=dev', '--package-lock-only', '--sbom-format=cyclonedx');
writeFileSync(join(folder, `${name}-${version}.cdx.json`), sbom);
const lines = licenses(root).map((each) => `${each.name} ${each.version}: ${each.license}\n`);
writeFileSync(join(folder, `${name}-${version}.licenses.txt`), lines.join(''));
const sums = readdirSync(folder)
  .filter((file) => file.startsWith(`${name}-${version}.`))
  .map(
    (file) =>
      `${createHash('sha256')
        .update(readFileSync(join(folder, file)))
        .digest('hex')}  ${file}\n`,
  );
writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''));
process.stdout.write(sums.join(''));
