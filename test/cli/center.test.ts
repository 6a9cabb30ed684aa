import { spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CENTER_LOGIN, Center } from '../support/center.ts';
import { temporaryFolder } from '../support/temporary.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
const [OLD_KEY, NEW_KEY] = ['planted-old-key-0123456789abcdef0123', 'planted-new-key-0123456789abcdef0123'];

/** A `fogwhisk` command on a center of its own. */
async function cliOnCenter() {
  const center = await Center.start();
  const folder = await temporaryFolder();
  const run = (args: readonly string[], { sharedKey = OLD_KEY, input = '' } = {}) =>
    new Promise<{ code: number | null; output: string }>((resolve, reject) => {
      const child = spawn(process.execPath, [MAIN, ...args], {
        env: {
          PATH: process.env.PATH,
          dataDir: folder,
          couchdbGateway: center.url,
          couchdbUsername: CENTER_LOGIN.username,
          couchdbPassword: CENTER_LOGIN.password,
          sharedKey,
        },
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (data: Buffer) => (output += data.toString()));
      child.on('error', reject).on('close', (code) => resolve({ code, output }));
      child.stdin.end(input);
    });
  const file = async (name: string, content: string) => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const read = async (database: string, id: string) =>
    (await center.request('GET', `/${database}/${encodeURIComponent(id)}`)).body;
  return { center, run, file, read };
}

/** All files below a folder, as one text. */
async function everythingIn(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  return (await Promise.all(files.map((name) => readFile(name, 'latin1')))).join('\n');
}

describe('the commands on the center', () => {
  it('register, show, disable, enable and remove', async () => {
    const { run, file, read, center } = await cliOnCenter();
    const key = await file('key', 'uuid:planted-openwhisk-key\n');
    const login = await file('login', 'sensor:planted-p@ss:word\n');
    const add = [
      'registrations',
      'add',
      '/guest/t',
      '--topic',
      'a',
      'b/#',
      '--url',
      'mqtt://broker',
      '--site',
      '1',
      '2',
    ];
    const added = await run([...add, '--key-file', key, '--login-file', login]);
    expect(added).toEqual({ code: 0, output: '/guest/t is registered\n' });
    expect(await read('topic_listeners', '/guest/t')).toMatchObject({
      url: 'mqtt://broker',
      topic: 'a',
      topics: ['a', 'b/#'],
      sites: ['1', '2'],
      auth: { sealed: expect.any(String) },
      login: { sealed: expect.any(String) },
    });
    await run(['registrations', 'add', 'nightly', '--trigger', '/guest/n', '--alarm', '{"cron":"0 3 * * *"}']);
    expect((await run(['registrations', 'list', '--site', '3'])).output).toBe(
      'nightly  alarm {"cron":"0 3 * * *"}  fires /guest/n  sites *\n1 registered\n',
    );
    await run(['registrations', 'disable', '/guest/t', '--reason', 'maintenance']);
    expect((await run(['registrations', 'list'])).output).toContain(
      '/guest/t  mqtt://broker ["a","b/#"]  sites 1, 2  disabled: maintenance\n',
    );
    await run(['registrations', 'enable', '/guest/t']);
    expect((await read('topic_listeners', '/guest/t')).status).toMatchObject({ active: true });
    expect((await run(['registrations', 'remove', '/guest/t'])).output).toBe('/guest/t is removed\n');
    expect((await run(['registrations', 'remove', '/guest/t'])).output).toContain('did not have /guest/t');
    expect((await run(['registrations', 'enable', '/guest/t'])).code).toBe(1);
    expect((await run(['registrations', 'remove', '/guest/never'])).output).toContain('did not have /guest/never');
    expect((await run([...add, '--key-file', key])).code).toBe(0);
    expect(await read('topic_listeners', '/guest/t')).toMatchObject({ topic: 'a' });
    await center.stop();
    expect(await everythingIn(center.folder)).not.toContain('planted');
  }, 60_000);

  it('refuse what is wrong, and secrets on the command line', async () => {
    const { run, center } = await cliOnCenter();
    for (const [args, said] of [
      [['registrations', 'add', '/guest/t', '--topic', 'a/#/b'], '#'],
      [['registrations', 'add', 'x', '--topic', 'a'], 'trigger: must be /NAMESPACE/NAME'],
      [['registrations', 'add', '/guest/t', '--topic', 'a', '--url', 'mqtt://u:p@b'], '--login-file'],
      [['parameters', 'set', 'token', 'value', '--secret'], 'no place for a secret'],
      [['parameters', 'unset', 'token'], 'is not set for every site'],
    ] as const) {
      const { code, output } = await run(args);
      expect(output).toContain(said);
      expect(code).toBe(1);
    }
    await center.stop();
    expect((await run(['parameters', 'list'])).output).toContain('ECONNREFUSED');
  }, 60_000);

  it('set parameters, and seal all secrets anew for a new key', async () => {
    const { run, read, center } = await cliOnCenter();
    await run(['parameters', 'set', 'influx_url', 'http://influx:8086']);
    await run(['parameters', 'set', 'days', '3', '--site', '1']);
    await run(['parameters', 'set', 'named', '--ref', 'influx-token']);
    const set = await run(['parameters', 'set', 'token', '--secret', '--site', '1'], { input: 'planted-token\n' });
    expect(set).toEqual({ code: 0, output: 'token is set for site 1\n' });
    expect((await run(['parameters', 'list'])).output.split('\n').sort().join('\n').trim()).toBe(
      [
        '*  influx_url = "http://influx:8086"',
        '*  named = (the secret influx-token of each site)',
        '1  days = 3',
        '1  token = (secret)',
      ].join('\n'),
    );
    expect((await run(['registrations', 'list'])).output).toBe('0 registered\n');
    await center.put('topic_listeners', {
      _id: '/guest/old',
      trigger: '/guest/old',
      url: 'http://a:b@m',
      topic: 't',
      username: 'u',
      password: 'p',
    });
    const before = await read('parameters', '1');
    const both = { sharedKey: `${NEW_KEY}\n${OLD_KEY}\n` };
    expect(await run(['reseal'], both)).toEqual({ code: 0, output: '2 documents sealed anew\n' });
    expect(await read('parameters', '1')).not.toEqual(before);
    expect(await read('topic_listeners', '/guest/old')).not.toHaveProperty('password');
    expect((await run(['reseal'], { sharedKey: NEW_KEY })).output).toBe('0 documents sealed anew\n');
    expect((await run(['reseal'], both)).output).toBe('0 documents sealed anew\n');
    expect((await run(['parameters', 'unset', 'days', '--site', '1'])).code).toBe(0);
    expect(await read('parameters', '1')).toMatchObject({ values: {} });
  }, 60_000);
});
