#!/usr/bin/env node
// Only what runs on any Node.js: the rest is loaded when the version is known to do.
const NEEDED = [20, 19] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(`Node.js ${process.versions.node} is too old: fogwhisk needs ${NEEDED.join('.')} or newer.\n`);
  process.exitCode = 1;
} else {
  const { run } = await import('./cli/run.ts');
  await run(process.argv);
}
