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
  args: ['--max-semi-space-size=2', runtimeFile('nodejs.cjs')],
};

/** How a blackbox action's image is run on this machine. */
export type ImageProgram =
  /** A program of the docker skeleton's contract: arguments in argv[1] and stdin, the last line of stdout is the result. */
  | { readonly command: readonly string[] }
  /** A program that speaks /init and /run itself, on the port that the environment variable `PORT` names. */
  | { readonly listens: readonly string[] };

/** The program of a container runtime, which runs images that are not mapped. */
export type ContainerCli = 'docker' | 'podman';

/** The program for an image: one that is mapped, one of a kind, or the skeleton, which runs the code that an action brings. */
export function programOfImage(
  image: string,
  images: Readonly<Record<string, ImageProgram>>,
  kinds: Readonly<Record<string, readonly Kind[]>>,
): RuntimeProgram | undefined {
  const mapped = images[image] ?? (image === SKELETON_IMAGE ? { command: [] } : undefined);
  if (!mapped)
    return Object.values(kinds)
      .flat()
      .find((kind) => kind.image === image)?.program;
  const [file, program] = 'command' in mapped ? ['command.cjs', mapped.command] : ['listener.cjs', mapped.listens];
  return { command: process.execPath, args: [runtimeFile(file), ...program] };
}

/** A container of an image. Its CLI gets the host's environment (where the daemon, the login, the storage are); the container doesn't. */
export function programOfContainer(cli: ContainerCli, image: string, memoryMb: number): RuntimeProgram {
  const args = [runtimeFile('container.cjs'), cli, image, String(memoryMb)];
  return { command: process.execPath, args, inheritsEnvironment: true };
}

const SKELETON_IMAGE = 'openwhisk/dockerskeleton';

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
        program: { command: 'python3', args: ['-u', runtimeFile('python.py')] },
      },
    ],
  };
}

function runtimeFile(name: string): string {
  return fileURLToPath(new URL(`./runtimes/${name}`, import.meta.url));
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
