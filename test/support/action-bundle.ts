import { createRequire } from 'node:module';
import { build } from 'esbuild';

export type Main = (params: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** An action as OpenWhisk's Node.js runtime runs it: its bundle, evaluated in a function that gives what `main` names there. */
export async function loadAction(name: string): Promise<Main> {
  const bundle = await build({
    entryPoints: [`actions/${name}/main.ts`],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    write: false,
  });
  const code = `${bundle.outputFiles[0]!.text}\nreturn main`;
  const require = createRequire(import.meta.url);
  return new Function('require', 'module', 'exports', code)(require, { exports: {} }, {}) as Main;
}

/** Builds an action to a file, as `npm run build` does. */
export async function buildAction(name: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [`actions/${name}/main.ts`],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
  });
}
