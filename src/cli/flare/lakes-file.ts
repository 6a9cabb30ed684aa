import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { FogwhiskError } from '../../core/errors.ts';
import { type Lakes, parseLakes } from '../../core/flare.ts';

/**
 * Reads `lakes.yml`. Parts of a program that begin with `./` or `../` are paths relative to the file.
 * @throws FogwhiskError `FILE_UNREADABLE` or `LAKES_INVALID` with every problem
 */
export async function readLakes(file: string): Promise<Lakes> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FogwhiskError('FILE_UNREADABLE', { file, reason: error.code }, { cause: error });
  });
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error' });
  } catch (error) {
    throw new FogwhiskError('LAKES_INVALID', { file, problems: [(error as Error).message] }, { cause: error });
  }
  const parsed = parseLakes(content);
  if ('problems' in parsed) throw new FogwhiskError('LAKES_INVALID', { file, problems: parsed.problems });
  const folder = dirname(resolve(file));
  for (const step of Object.values(parsed.lakes.steps)) {
    const inFolder = (part: string) => (/^\.{1,2}\//.test(part) ? resolve(folder, part) : part);
    if (step.program) step.program = step.program.map(inFolder);
  }
  return parsed.lakes;
}
