import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { freePort } from '../support/free-port.ts';
import { describeWith } from '../support/programs.ts';
import { PROVIDER_TOKEN } from '../support/provider.ts';
import { Site } from '../support/site.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The tutorial of docs/flare.md, word by word: its files are written, its commands run, its outputs compared. */

interface Block {
  readonly language: string;
  readonly name: string | undefined;
  readonly content: string;
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language, name, content]) => ({
    language: language!,
    name,
    content: content!,
  }));
}

/** The commands of a console block, each with what it shall print. */
function commandsOf(content: string): Array<{ command: string; output: string }> {
  return content
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const end = text.indexOf('\n');
      return { command: text.slice(0, end), output: text.slice(end + 1) };
    });
}

function patternOf(output: string): RegExp {
  const parts = output.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*')}$`);
}

/** One shell, so that what a command sets is there for the next one. */
class Shell {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;

  constructor(env: NodeJS.ProcessEnv) {
    this.#process = spawn('bash', [], { env, stdio: ['pipe', 'pipe', 'ignore'] });
    onTestFinished(() => void this.#process.kill('SIGKILL'));
  }

  /** What a command prints. */
  run(command: string): Promise<string> {
    const end = `end-${randomUUID()}`;
    this.#process.stdin.write(`{ ${command}\n} 2>&1 </dev/null\nprintf '%s' ${end}\n`);
    return new Promise((resolve) => {
      let said = '';
      const hear = (data: Buffer) => {
        said += String(data);
        if (!said.endsWith(end)) return;
        this.#process.stdout.off('data', hear);
        resolve(said.slice(0, -end.length));
      };
      this.#process.stdout.on('data', hear);
    });
  }
}

describeWith(['wsk', 'python3', 'curl'], 'the tutorial of docs/flare.md', () => {
  test('prints what it says', async () => {
    const folder = await temporaryFolder();
    const inFolder = (text: string) => text.replaceAll('/opt/flare', folder);
    const tutorial = inFolder((await readFile('docs/flare.md', 'utf8')).split(/^## lakes\.yml$/m)[0]!);
    const blocks = blocksOf(tutorial);
    let settings: Record<string, string> = {};
    for (const { name, content } of blocks) {
      if (name === 'configmap.yml') settings = parse(content) as Record<string, string>;
      else if (name) {
        await writeFile(join(folder, name), content);
        await chmod(join(folder, name), 0o755);
      }
    }
    const site = await Site.start(settings);
    const bin = join(folder, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'fogwhisk'), `#!/bin/sh\nexec "${process.execPath}" "${resolve('dist/main.js')}" "$@"\n`);
    await chmod(join(bin, 'fogwhisk'), 0o755);
    const env = {
      ...site.environment,
      PATH: `${bin}:${process.env.PATH}`,
      HOME: folder,
      PORT: String(await freePort()),
      providerToken: PROVIDER_TOKEN,
      providerUrl: site.provider.url,
      fogwhisk: resolve('.'),
    };
    onTestFinished(() => void spawnSync('sh', ['-c', `kill $(cat "${folder}/entry.pid")`]));
    const commands = blocks
      .filter(({ language }) => language === 'console')
      .flatMap(({ content }) => commandsOf(content));
    expect(commands.length).toBeGreaterThan(25);
    const shell = new Shell(env);
    for (const { command, output } of commands) expect(await shell.run(command), command).toMatch(patternOf(output));
  }, 180_000);
});
