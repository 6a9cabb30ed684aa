import { text } from 'node:stream/consumers';
import type { Params } from '../shared/payload.ts';
import { runManually } from './manual.ts';
import { run, type StepResult } from './run.ts';
import { serve } from './serve.ts';

/** A step of a FLARE workflow, as an action of OpenWhisk's Node.js runtime. */
export function main(params: Params): Promise<StepResult> {
  return run(params, Number(process.env.__OW_DEADLINE) || Date.now() + 60_000);
}

/**
 * The same step as the entry of a container image, in both of FLARE's modes: `node flare.js` listens for OpenWhisk on
 * port 8080 (or `PORT`); `node flare.js run FOLDER` runs the step that stands on stdin as JSON, on a folder.
 */
async function enter([command, folder]: readonly string[]): Promise<void> {
  if (command === undefined) await serve(run, Number(process.env.PORT ?? 8080));
  else if (command === 'run' && folder !== undefined) {
    process.exitCode = await runManually(JSON.parse(await text(process.stdin)) as Params, folder);
  } else {
    process.stderr.write('usage: flare.js | flare.js run FOLDER <step.json\n');
    process.exitCode = 64;
  }
}

if (typeof require === 'function' && require.main === module) void enter(process.argv.slice(2));
