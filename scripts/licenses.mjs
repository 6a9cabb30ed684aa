// The licences of what fogwhisk runs with, from the lock file and the packages themselves.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Licences that go with Apache-2.0. Another one is for a person to decide on. */
const ACCEPTED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
  '(WTFPL OR MIT)',
]);

/** `{name, version, license}` of every production package, by name. */
export function licenses(root) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional)
    .map(([path, { version, license }]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      license: license ?? ownLicense(join(root, path, 'package.json')),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those that no one has accepted. */
export function unaccepted(list) {
  return list.filter(({ license }) => !ACCEPTED.has(license));
}

/** As old packages say it. */
function ownLicense(file) {
  if (!existsSync(file)) return 'unknown';
  const { license, licenses: several = [] } = JSON.parse(readFileSync(file, 'utf8'));
  return license ?? (several.map(({ type }) => type).join(' AND ') || 'unknown');
}
