import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RuntimeProgram } from './invocation/runtime-process.ts';

/** A runtime that this host offers. */
export interface Kind {
  readonly kind: string;
  /** The image by which blackbox actions may name it, as in Apache OpenWhisk's manifest. */
  readonly image: string;
  readonly default: boolean;
  readonly program: RuntimeProgram;
}

/** The Node.js runtime, which runs on the Node.js that runs this host. */
export const nodejsProgram: RuntimeProgram = {
  command: process.execPath,
  // A small young generation: a runtime's garbage is collected sooner, and its memory stays small.
  args: ['--max-semi-space-size=2', fileURLToPath(new URL('./runtimes/nodejs.cjs', import.meta.url))],
};

/** The kinds of this machine, by family: what is listed can be run. */
export function availableKinds(): Record<string, Kind[]> {
  const major = process.versions.node.split('.')[0]!;
  const nodejs = [...new Set(['20', major])].map(
    (version): Kind => ({
      kind: `nodejs:${version}`,
      image: `openwhisk/action-nodejs-v${version}:nightly`,
      default: version === '20',
      program: nodejsProgram,
    }),
  );
  if (!isOnPath('python3')) return { nodejs };
  return {
    nodejs,
    python: [
      {
        kind: 'python:3',
        image: 'openwhisk/action-python-v3:nightly',
        default: true,
        program: { command: 'python3', args: [fileURLToPath(new URL('./runtimes/python.py', import.meta.url))] },
      },
    ],
  };
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
