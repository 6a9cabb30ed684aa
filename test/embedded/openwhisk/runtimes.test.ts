import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { describeWith } from '../../support/programs.ts';
import { type Host, hostForTest, startHost } from './host.ts';

let host: Host;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-test-'));
  const skeleton = join(folder, 'skeleton.cjs');
  await writeFile(
    skeleton,
    `#!${process.execPath}
    let stdin = '';
    process.stdin.on('data', (text) => { stdin += text; }).on('end', () => {
      console.log('a line of log');
      console.error('to stderr');
      console.log(JSON.stringify({ argument: JSON.parse(process.argv.at(-1)), stdin: JSON.parse(stdin), name: process.env.__OW_ACTION_NAME }));
    });`,
  );
  await chmod(skeleton, 0o755);
  const listener = join(folder, 'listener.cjs');
  await writeFile(
    listener,
    `const end = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX';
    require('node:http').createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      if (request.url === '/init') return response.end('OK');
      console.log('ran');
      console.log(end);
      console.error(end);
      response.end(JSON.stringify({ got: JSON.parse(body).value }));
    }).listen(process.env.PORT, '127.0.0.1');`,
  );
  host = await startHost(folder, {
    images: { 'test/skeleton': { command: [skeleton] }, 'test/listener': { listens: [process.execPath, listener] } },
  });
});
afterAll(async () => {
  await host.close();
  await rm(host.folder, { recursive: true, force: true });
});

describe('zip archives', () => {
  test('package.json names the module; its files and node_modules are there', async () => {
    const code = zip({
      'package.json': '{"main":"lib/start.js"}',
      'lib/start.js':
        'const dep = require("dep"); exports.main = (a) => ({ a, dep: dep.name, file: require("node:fs").readFileSync("data.txt", "utf8") })',
      'data.txt': 'data'.repeat(1_000),
      'node_modules/dep/index.js': 'exports.name = "dep"',
    });
    await host.client.action('zipped', code);
    expect((await host.client.result('zipped', { x: 1 })).json).toEqual({
      a: { x: 1 },
      dep: 'dep',
      file: 'data'.repeat(1_000),
    });
  });

  test('`main` may name an export, or a file and an export', async () => {
    const code = zip({
      'index.js': 'exports.other = () => ({ other: 1 })',
      'more.js': 'exports.start = () => ({ more: 1 })',
    });
    await host.client.put('actions/zipmain?overwrite=true', { exec: { kind: 'nodejs:20', code, main: 'other' } });
    expect((await host.client.result('zipmain')).json).toEqual({ other: 1 });
    await host.client.put('actions/zipmain?overwrite=true', { exec: { kind: 'nodejs:20', code, main: 'more.start' } });
    expect((await host.client.result('zipmain')).json).toEqual({ more: 1 });
  });

  test('a name that leads out of the folder is left out; no module at all is an error', async () => {
    await host.client.action(
      'slip',
      zip({
        '../escaped.js': 'x',
        'index.js': 'exports.main = () => ({ there: require("node:fs").existsSync("../escaped.js") })',
      }),
    );
    expect((await host.client.result('slip')).json).toEqual({ there: false });
    await host.client.action('empty', zip({ 'readme.txt': 'x' }));
    expect((await host.client.result('empty')).json).toEqual({
      error:
        'Initialization has failed due to: Zipped actions must contain either package.json or index.js at the root.',
    });
  });
});

describe('tar archives, compressed by gzip', () => {
  /** As Debian's tar writes it; a name of more than 100 bytes takes GNU's or POSIX's extension. */
  async function tarball(files: Record<string, string>, format: string): Promise<string> {
    const folder = await mkdtemp(join(host.folder, 'tar-'));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    await symlink('/etc/passwd', join(folder, 'link'));
    const { stdout } = await promisify(execFile)('tar', ['-C', folder, `--format=${format}`, '-cz', '.'], {
      encoding: 'buffer',
    });
    return stdout.toString('base64');
  }

  test.each(['gnu', 'posix', 'ustar'])('%s', async (format) => {
    const long = `${'folder/'.repeat(10)}${'n'.repeat(60)}.txt`;
    const code = await tarball(
      {
        'package.json': '{"main":"start.js"}',
        'start.js': `exports.main = () => ({ dep: require("dep").name, text: require("node:fs").readFileSync("${long}", "utf8"), link: require("node:fs").existsSync("link") })`,
        [long]: 'data',
        'node_modules/dep/index.js': 'exports.name = "dep"',
      },
      format,
    );
    await host.client.action('tarred', code);
    expect((await host.client.result('tarred')).json).toEqual({ dep: 'dep', text: 'data', link: false });
  });

  test('that are damaged', async () => {
    await host.client.action('torn', (await tarball({ 'index.js': 'x' }, 'gnu')).slice(0, 60));
    expect((await host.client.result('torn')).json.error).toMatch(/^Initialization has failed due to: /);
  });
});

test('the openwhisk client is there without being packed, other packages of the host are not', async () => {
  await host.client.action(
    'modules',
    'function main(){ const found = (name) => { try { require(name); return true } catch { return false } }; return { openwhisk: found("openwhisk"), pino: found("pino") } }',
  );
  expect((await host.client.result('modules')).json).toEqual({ openwhisk: true, pino: false });
});

describe('an action that misbehaves', () => {
  const lost = { error: 'The action did not produce a valid response and exited unexpectedly.' };
  test.each([
    [
      'writes garbage to its host',
      'function main(){ require("node:fs").writeSync(3, "garbage\\r\\n\\r\\n"); return new Promise(() => {}) }',
      lost,
    ],
    ['closes its connection', 'function main(){ require("node:fs").closeSync(3); return {} }', lost],
    [
      'throws later',
      'function main(){ setTimeout(() => { throw new Error("later") }, 5); return new Promise(() => {}) }',
      lost,
    ],
    ['kills itself', 'function main(){ process.kill(process.pid, "SIGKILL"); return new Promise(() => {}) }', lost],
    [
      'returns a circle',
      'function main(){ const a = {}; a.a = a; return a }',
      { error: expect.stringContaining('circular') },
    ],
  ])('%s', async (_, code, result) => {
    await host.client.action('bad', code, { limits: { timeout: 20_000 } });
    const record = await host.client.record('bad');
    expect(record.response).toMatchObject({ result, status: 'action developer error' });
    await host.client.action('good', 'function main(a){ return a }');
    expect((await host.client.result('good', { x: 1 })).json).toEqual({ x: 1 });
  });

  test('writes much more than its log may hold, without line ends', async () => {
    const code =
      'function main(){ for (let i = 0; i < 300; i++) process.stdout.write("x".repeat(1_000_000)); return { done: true } }';
    await host.client.action('loud', code, { limits: { logs: 1 } });
    const record = await host.client.record('loud');
    expect(record.response.result).toEqual({ done: true });
    expect(JSON.stringify(record.logs).length).toBeLessThan(1_100_000);
  });

  test('leaves children behind: they end with it', async () => {
    const code =
      'function main(){ const c = require("node:child_process").spawn("sleep", ["600"], { stdio: "ignore" }); setTimeout(() => process.exit(), 20); return new Promise((r) => setTimeout(r, 1)).then(() => ({ pid: c.pid })) }';
    await host.client.action('forks', code);
    const { pid } = (await host.client.result('forks')).json;
    const isAlive = () => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    // The container's first process may take a while to bury the child.
    await expect.poll(isAlive, { interval: 20 }).toBe(false);
  });
});

describe('blackbox actions', () => {
  const blackbox = (name: string, image: string, code?: string) =>
    host.client.put(`actions/${name}?overwrite=true`, {
      exec: { kind: 'blackbox', image, ...(code === undefined ? {} : { code }) },
    });

  test('a mapped program gets its arguments in argv and on stdin; the last line is the result', async () => {
    await blackbox('skeleton', 'test/skeleton');
    const record = await host.client.record('skeleton', { x: 'é' });
    expect(record.response.result).toEqual({ argument: { x: 'é' }, stdin: { x: 'é' }, name: '/guest/skeleton' });
    expect(record.logs.map((line: string) => line.slice(31)).sort()).toEqual([
      'stderr: to stderr',
      'stdout: a line of log',
    ]);
  });

  test('a program that listens is spoken to', async () => {
    await blackbox('listener', 'test/listener');
    const record = await host.client.record('listener', { x: 1 });
    expect(record.response.result).toEqual({ got: { x: 1 } });
    expect(record.logs).toEqual([expect.stringMatching(/ stdout: ran$/)]);
  });

  test('the skeleton runs the code that the action brings', async () => {
    await blackbox('script', 'openwhisk/dockerskeleton', '#!/bin/sh\necho "log"\necho "{\\"from\\":\\"sh\\"}"\n');
    expect((await host.client.result('script')).json).toEqual({ from: 'sh' });
    await blackbox('badscript', 'openwhisk/dockerskeleton', '#!/bin/sh\necho nothing\n');
    expect((await host.client.result('badscript')).json).toEqual({ error: 'The action did not return a dictionary.' });
  });

  test("an image that is not mapped can't be pulled", async () => {
    await blackbox('unknown', 'test/unknown');
    const answer = await host.client.result('unknown');
    expect([answer.status, answer.json]).toEqual([502, { error: "Failed to pull container image 'test/unknown'." }]);
  });
});

test('a container runtime that is not there', async () => {
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  onTestFinished(() => {
    process.env.PATH = path;
  });
  const { client } = await hostForTest({ containers: 'podman' });
  await client.put('actions/a', { exec: { kind: 'blackbox', image: 'test/unknown' } });
  expect((await client.result('a')).json).toEqual({
    error: "Containers can't be run, as podman can't be started (ENOENT).",
  });
});

describeWith(['python3'], 'python', () => {
  const python = (name: string, code: string) =>
    host.client.put(`actions/${name}?overwrite=true`, { exec: { kind: 'python:default', code } });

  test('arguments, environment, output', async () => {
    await python(
      'py',
      'import os, sys\ndef main(a):\n  print("hé")\n  print("err", file=sys.stderr)\n  return {"got": a, "name": os.environ["__OW_ACTION_NAME"]}',
    );
    const record = await host.client.record('py', { x: '☃' });
    expect(record.response.result).toEqual({ got: { x: '☃' }, name: '/guest/py' });
    expect(record.logs.map((line: string) => line.slice(31)).sort()).toEqual(['stderr: err', 'stdout: hé']);
  });

  test.each([
    ['def main(a): raise ValueError("boom")', 'boom'],
    ['def main(a): return 5', 'The action did not return a dictionary or array.'],
    ['def other(a): return a', 'The action failed to generate or locate a binary. See logs for details.'],
    ['import os\ndef main(a): os._exit(1)', 'The action did not produce a valid response and exited unexpectedly.'],
  ])('%s', async (code, error) => {
    await python('pybad', code);
    expect((await host.client.result('pybad')).json).toEqual({ error });
  });

  test('an archive with __main__.py', async () => {
    await python(
      'pyzip',
      zip({
        '__main__.py': 'import helper\ndef main(a): return helper.help(a)',
        'helper.py': 'def help(a): return {"helped": a}',
      }),
    );
    expect((await host.client.result('pyzip', { x: 1 })).json).toEqual({ helped: { x: 1 } });
  });
});

/** A zip archive of some files, as base64. */
function zip(files: Record<string, string>): string {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const data = Buffer.from(text);
    const packed = deflateRawSync(data);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, place, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]).toString('base64');
}
