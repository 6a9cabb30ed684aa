import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Reaper } from '../../../src/embedded/openwhisk/invocation/reaper.ts';
import { RuntimeProcess, type RuntimeProgram } from '../../../src/embedded/openwhisk/invocation/runtime-process.ts';
import { availableKinds, nodejsProgram, programOfImage } from '../../../src/embedded/openwhisk/kinds.ts';
import { describeWith } from '../../support/programs.ts';
import { type Host, startHost } from './host.ts';

/**
 * The cases that OpenWhisk's runtimes share, each seen twice: by the runtime program itself over /init and /run, and through
 * the host as an action. Node.js, the docker skeleton's contract and a program that listens run the same JavaScript.
 */

type RuntimeName = 'nodejs' | 'python' | 'command' | 'listens';
type Reply = readonly [status: number, body: unknown];

interface Case {
  readonly title: string;
  readonly js?: string;
  readonly python?: string;
  readonly main?: string;
  readonly args?: unknown;
  /** What /run (or, of code that can't be loaded, /init) answers; a runtime's own answer where it is another one. */
  readonly reply?: Reply;
  readonly but?: Partial<Record<RuntimeName, Reply>>;
  /** What the caller of the action gets, where that does not follow from the reply. */
  readonly result?: Partial<Record<RuntimeName, unknown>>;
  /** Lines of both streams, sorted. */
  readonly logs?: readonly string[];
}

const notDictionary: Reply = [502, { error: 'The action did not return a dictionary.' }];
const notDictionaryOrArray: Reply = [502, { error: 'The action did not return a dictionary or array.' }];
const noBinary: Reply = [502, { error: 'The action failed to generate or locate a binary. See logs for details.' }];
const anyStack = (start: string) => expect.stringMatching(new RegExp(`^${start}`));
const noJson = (text: string) => ({
  error: `The action did not produce a valid JSON or JSON Array response: ${text}`,
});
const everything = { text: 'a "b" \\ \n', number: -1.5e3, yes: true, none: null, list: [1, [], {}], deep: { er: {} } };
const unicode = { '☃ ключ': 'héllo', '🐟': ['𝄞', '\u2028', '日本'] };
const large = { x: 'y'.repeat(1_000_000) };

const cases: readonly Case[] = [
  {
    title: 'echoes its arguments',
    js: 'function main(args) { return args }',
    python: 'def main(args): return args',
    args: everything,
    reply: [200, everything],
  },
  {
    title: 'has no arguments',
    js: 'function main(args) { return { keys: Object.keys(args) } }',
    python: 'def main(args): return {"keys": list(args)}',
    args: {},
    reply: [200, { keys: [] }],
  },
  {
    title: 'has keys, values and logs beyond ASCII',
    js: 'function main(args) { console.log(Object.keys(args).join()); console.error("ж"); return args }',
    python: 'import sys\ndef main(args):\n  print(",".join(args))\n  print("ж", file=sys.stderr)\n  return args',
    args: unicode,
    reply: [200, unicode],
    logs: ['stderr: ж', 'stdout: ☃ ключ,🐟'],
  },
  {
    title: 'takes and returns 1 MB',
    js: 'function main(args) { return args }',
    python: 'def main(args): return args',
    args: large,
    reply: [200, large],
  },
  {
    title: 'returns an array',
    js: 'function main() { return [1, { b: 2 }, "c"] }',
    python: 'def main(args): return [1, {"b": 2}, "c"]',
    reply: [200, [1, { b: 2 }, 'c']],
  },
  {
    title: 'returns nothing',
    js: 'function main() {}',
    python: 'def main(args): pass',
    reply: [200, {}],
    but: { python: notDictionaryOrArray, command: notDictionary, listens: [200, null] },
    result: { listens: noJson('null') },
  },
  {
    title: 'returns null',
    js: 'function main() { return null }',
    python: 'def main(args): return None',
    reply: [200, null],
    but: { python: notDictionaryOrArray, command: notDictionary },
    result: { nodejs: noJson('null'), listens: noJson('null') },
  },
  {
    title: 'returns a text',
    js: 'function main() { return "not a dictionary" }',
    python: 'def main(args): return "not a dictionary"',
    reply: notDictionary,
    but: { python: notDictionaryOrArray, listens: [200, 'not a dictionary'] },
    result: { listens: noJson('"not a dictionary"') },
  },
  {
    title: 'returns an error',
    js: 'function main() { return { error: { code: 5 }, other: 1 } }',
    python: 'def main(args): return {"error": {"code": 5}, "other": 1}',
    reply: [200, { error: { code: 5 }, other: 1 }],
  },
  {
    title: 'throws',
    js: 'function main() { throw new Error("boom") }',
    python: 'def main(args): raise ValueError("boom")',
    reply: [502, { error: 'An error has occurred: Error: boom' }],
    but: { python: [200, { error: 'boom' }], command: notDictionary },
  },
  {
    title: 'resolves a promise later',
    js: 'function main() { return new Promise((resolve) => setTimeout(resolve, 5, { later: true })) }',
    reply: [200, { later: true }],
  },
  {
    title: 'rejects with an Error',
    js: 'async function main() { throw new TypeError("boom") }',
    reply: [200, { error: { name: 'TypeError', message: 'boom', stack: anyStack('TypeError: boom') } }],
    but: { command: notDictionary, listens: [502, { error: 'An error has occurred: TypeError: boom' }] },
  },
  {
    title: 'rejects with an object',
    js: 'function main() { return Promise.reject({ code: 42 }) }',
    reply: [200, { error: { code: 42 } }],
    but: { command: notDictionary, listens: [502, { error: 'An error has occurred: [object Object]' }] },
  },
  {
    title: 'names another function as main',
    js: 'function niam() { return { niam: true } }',
    python: 'def niam(args): return {"niam": True}',
    main: 'niam',
    reply: [200, { niam: true }],
    but: { command: notDictionary },
  },
  {
    title: 'exports its main',
    js: 'exports.main = () => ({ exported: true })',
    reply: [200, { exported: true }],
    but: { command: notDictionary, listens: [502, { error: 'no main' }] },
  },
  {
    title: 'exports another function as main',
    js: 'module.exports = { niam: () => ({ exported: true }) }',
    main: 'niam',
    reply: [200, { exported: true }],
    but: { command: notDictionary, listens: [502, { error: 'no main' }] },
  },
  {
    title: 'has no such main',
    js: 'function other() {}',
    python: 'def other(args): return args',
    reply: [502, { error: "Initialization has failed due to: Action entrypoint 'main' is not a function." }],
    but: { python: noBinary, command: notDictionary, listens: [502, { error: 'no main' }] },
  },
  {
    title: 'is no program',
    js: 'function main( {',
    python: 'def main(',
    reply: [502, { error: anyStack('Initialization has failed due to: SyntaxError: ') }],
    but: { python: noBinary, command: notDictionary, listens: [502, { error: 'no main' }] },
  },
  {
    title: 'has no code',
    js: '',
    python: '',
    reply: [403, { error: 'Missing main/no code to execute.' }],
    but: { command: noBinary, listens: [502, { error: 'no main' }] },
  },
  {
    title: 'throws while it is loaded',
    js: 'throw new Error("early"); function main() { return {} }',
    python: 'raise ValueError("early")\ndef main(args): return {}',
    reply: [502, { error: anyStack('Initialization has failed due to: Error: early') }],
    but: { python: noBinary, command: notDictionary, listens: [502, { error: 'no main' }] },
  },
  {
    title: 'writes to both streams',
    js: 'function main() { console.log("out 1\\nout 2"); console.error("err"); return {} }',
    python: 'import sys\ndef main(args):\n  print("out 1\\nout 2")\n  print("err", file=sys.stderr)\n  return {}',
    reply: [200, {}],
    logs: ['stderr: err', 'stdout: out 1', 'stdout: out 2'],
  },
];

/** A program that listens, as somebody may write it who knows no more than the contract. */
const proxy = `
  let action;
  const end = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX';
  const init = ({ code, main, env }) => {
    if (action) return [403, { error: 'Cannot initialize the action more than once.' }];
    Object.assign(process.env, env);
    try {
      action = new Function(code + '\\nreturn ' + main)();
      return [200, { OK: true }];
    } catch {
      return [502, { error: 'no main' }];
    }
  };
  const run = async ({ value, ...context }) => {
    for (const [name, text] of Object.entries(context)) process.env['__OW_' + name.toUpperCase()] = text;
    try {
      return [200, (await action(value)) ?? null];
    } catch (error) {
      return [502, { error: 'An error has occurred: ' + error }];
    } finally {
      console.log(end);
      console.error(end);
    }
  };
  require('node:http').createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const message = JSON.parse(body);
    const [status, reply] = request.url === '/init' ? init(message.value) : await run(message);
    response.writeHead(status).end(JSON.stringify(reply));
  }).listen(process.env.PORT, '127.0.0.1');`;

/** The same action as a program of the docker skeleton's contract. */
function script(js: string): string {
  return `#!${process.execPath}
    let input = '';
    process.stdin.on('data', (text) => { input += text }).on('end', async () => console.log(JSON.stringify(await main(JSON.parse(input)))));
    ${js}`;
}

let host: Host;
let folder: string;
const reaper = new Reaper();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fogwhisk-test-'));
  await writeFile(join(folder, 'proxy.cjs'), proxy);
  host = await startHost(folder, { images: images() });
});
afterAll(async () => {
  await host.close();
  reaper.close();
  await rm(folder, { recursive: true, force: true });
});

function images() {
  return { 'test/proxy': { listens: [process.execPath, join(folder, 'proxy.cjs')] } };
}

interface Runtime {
  readonly name: RuntimeName;
  readonly program: () => RuntimeProgram;
  /** What an action of this runtime says of its code. */
  readonly exec: object;
  readonly code: (one: Case) => string | undefined;
}

const js = ({ js }: Case) => js;
const nodejs: Runtime = { name: 'nodejs', program: () => nodejsProgram, exec: { kind: 'nodejs:20' }, code: js };
const python: Runtime = {
  name: 'python',
  program: () => availableKinds().python![0]!.program,
  exec: { kind: 'python:3' },
  code: ({ python }) => python,
};
const skeleton = 'openwhisk/dockerskeleton';
const command: Runtime = {
  name: 'command',
  program: () => programOfImage(skeleton, {}, {})!,
  exec: { kind: 'blackbox', image: skeleton },
  code: ({ js }) => js && script(js),
};
const listens: Runtime = {
  name: 'listens',
  program: () => programOfImage('test/proxy', images(), {})!,
  exec: { kind: 'blackbox', image: 'test/proxy' },
  code: js,
};

/** A runtime program alone, as the host drives it. */
class Driver {
  readonly process: RuntimeProcess;

  constructor(program: RuntimeProgram) {
    this.process = new RuntimeProcess(program, { folder, apiHost: 'http://127.0.0.1:1', slots: 1, reaper });
    onTestFinished(() => this.process.kill());
    this.process.logs.begin(1_000_000);
  }

  async init(value: object): Promise<Reply> {
    const message = { value: { name: 'a', main: 'main', binary: false, env: {}, ...value } };
    const limits = { timeoutMs: 10_000, memoryBytes: 1e9 };
    return replyOf(await this.process.init([Buffer.from(JSON.stringify(message))], limits));
  }

  async run(value: unknown, context: object = {}): Promise<Reply> {
    return replyOf(await this.process.run([Buffer.from(JSON.stringify({ value, ...context }))], 10_000));
  }

  async logs(failed = false): Promise<string[]> {
    return (await this.process.logs.end({ failed })).map((line) => line.slice(31)).sort();
  }
}

function replyOf(outcome: Awaited<ReturnType<RuntimeProcess['run']>>): Reply {
  if (outcome.kind !== 'answered') throw new Error(`${outcome.kind} instead of an answer`);
  return [outcome.status, JSON.parse(outcome.body.toString())];
}

/** What a caller gets of a runtime's reply. */
function resultOf([status, body]: Reply): Reply {
  const failed = status !== 200 || (typeof body === 'object' && body !== null && 'error' in body);
  return failed ? [502, { error: (body as { error: unknown }).error }] : [200, body];
}

function shareCases(runtime: Runtime): void {
  const { name, program, exec, code } = runtime;
  const shared = cases.filter((one) => code(one) !== undefined);

  test.each(shared)('alone: $title', async (one) => {
    const driver = new Driver(program());
    const expected = one.but?.[name] ?? one.reply;
    const initialized = await driver.init({ code: code(one), main: one.main ?? 'main' });
    const reply = initialized[0] === 200 ? await driver.run(one.args ?? {}) : initialized;
    expect(reply).toEqual(expected);
    if (one.logs) expect(await driver.logs()).toEqual(one.logs);
  });

  test.each(shared)('as an action: $title', async (one) => {
    const expected = one.result?.[name];
    const main = one.main ? { main: one.main } : {};
    await host.client.put('actions/a?overwrite=true', { exec: { ...exec, ...main, code: code(one) } });
    const answer = await host.client.result('a', one.args ?? {});
    expect([answer.status, answer.json]).toEqual(
      expected === undefined ? resultOf(one.but?.[name] ?? one.reply!) : [502, expected],
    );
    if (!one.logs) return;
    const [{ logs }] = (await host.client.get('activations?name=a&docs=true&limit=1')).json;
    expect(logs.map((line: string) => line.slice(31)).sort()).toEqual(one.logs);
  });

  const echo: Case = {
    title: 'echo',
    js: 'function main(args) { return args }',
    python: 'def main(args): return args',
  };

  test('is initialized once', async () => {
    const driver = new Driver(program());
    expect((await driver.init({ code: code(echo) }))[0]).toBe(200);
    const again = await driver.init({ code: code(echo) });
    expect(again).toEqual([403, { error: 'Cannot initialize the action more than once.' }]);
    expect(await driver.run({ still: 'works' })).toEqual([200, { still: 'works' }]);
  });

  test('runs again and again in one process, each run with its own logs', async () => {
    const driver = new Driver(program());
    const counts: Case = {
      title: 'counts',
      js: 'function main({ id }) { console.log("run " + id); return { id } }',
      python: 'def main(args):\n  print("run " + str(args["id"]))\n  return args',
    };
    await driver.init({ code: code(counts) });
    for (const id of [1, 2, 3]) {
      driver.process.logs.begin(1_000);
      expect(await driver.run({ id })).toEqual([200, { id }]);
      expect(await driver.logs()).toEqual([`stdout: run ${id}`]);
    }
  });

  test('has the environment of its call, and the `init` parameters', async () => {
    const environment: Case = {
      title: 'environment',
      js: 'function main() { const { __OW_ACTIVATION_ID: id, __OW_ACTION_NAME: name, TEXT, OBJECT } = process.env; return { id, name, TEXT, OBJECT } }',
      python:
        'import os\ndef main(args):\n  return {key: os.environ[name] for key, name in {"id": "__OW_ACTIVATION_ID", "name": "__OW_ACTION_NAME", "TEXT": "TEXT", "OBJECT": "OBJECT"}.items()}',
    };
    const env = { TEXT: 'téxt', OBJECT: '{"a":1}' };
    const driver = new Driver(program());
    await driver.init({ code: code(environment), env });
    for (const id of ['first', 'second']) {
      const reply = await driver.run({}, { activation_id: id, action_name: '/guest/a' });
      expect(reply).toEqual([200, { id, name: '/guest/a', ...env }]);
    }
    const parameters = [
      { key: 'TEXT', value: 'téxt', init: true },
      { key: 'OBJECT', value: { a: 1 }, init: true },
    ];
    await host.client.put('actions/a?overwrite=true', { exec: { ...exec, code: code(environment) }, parameters });
    const { json, headers } = await host.client.result('a');
    expect(json).toEqual({ id: headers.get('x-openwhisk-activation-id'), name: '/guest/a', ...env });
    await host.client.delete('actions/a');
  });

  test('runs out of time: the process is ended, the next call has a new one', async () => {
    const sleeps: Case = {
      title: 'sleeps',
      js: 'function main({ ms }) { return new Promise((resolve) => setTimeout(resolve, ms, {})) }',
      python: 'import time\ndef main(args):\n  time.sleep(args["ms"] / 1000)\n  return {}',
    };
    const body = { exec: { ...exec, code: code(sleeps) }, limits: { timeout: 5_000 } };
    await host.client.put('actions/a?overwrite=true', body);
    const late = await host.client.record('a', { ms: 600_000 });
    expect(late.response).toMatchObject({
      status: 'action developer error',
      result: { error: 'The action exceeded its time limits of 5000 milliseconds.' },
    });
    expect(late.annotations).toContainEqual({ key: 'timeout', value: true });
    expect((await host.client.result('a', { ms: 1 })).json).toEqual({});
    // An update without limits would keep these.
    await host.client.delete('actions/a');
  });
}

/** Of runtimes in which the action's code is in the process that the host speaks with. */
function exits(runtime: Runtime, code: string): void {
  test('leaves its process while it runs', async () => {
    await host.client.put('actions/a?overwrite=true', { exec: { ...runtime.exec, code } });
    const record = await host.client.record('a', {});
    expect(record.response).toMatchObject({
      status: 'action developer error',
      result: { error: 'The action did not produce a valid response and exited unexpectedly.' },
    });
    expect(record.logs.at(-1)).toContain('The action did not initialize or run as expected.');
  });
}

describe('nodejs', () => {
  shareCases(nodejs);
  exits(nodejs, 'function main() { process.exit(0) }');

  test('is not run before it is initialized', async () => {
    expect(await new Driver(nodejsProgram).run({})).toEqual([403, { error: 'System not initialized.' }]);
  });

  test.each([
    ['an initialization that failed', 'function main( {', 'Initialization has failed'],
    ['an action that threw', 'function main() { throw new Error("boom") }', 'An error has occurred'],
  ])('is not to be used after %s; its logs are complete', async (_, code, failure) => {
    const driver = new Driver(nodejsProgram);
    const initialized = await driver.init({ code });
    const [status, body] = initialized[0] === 200 ? await driver.run({}) : initialized;
    expect([status, (body as { error: string }).error]).toEqual([502, expect.stringContaining(failure)]);
    expect((await driver.logs()).join()).not.toContain('Data might be missing');
    expect(await driver.run({})).toEqual([403, { error: 'System not ready, status is stopped.' }]);
    expect((await driver.init({ code }))[0]).toBe(403);
  });

  test('runs one activation at a time: a second one on the same connection is refused', async () => {
    const child = spawn(nodejsProgram.command, [...nodejsProgram.args, '1'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const socket = child.stdio[3] as Duplex;
    const post = (path: string, body: object) => {
      const text = JSON.stringify(body);
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: runtime\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      );
    };
    let answers = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answers += text;
    });
    const waits = 'function main() { return new Promise((resolve) => setTimeout(resolve, 50, { first: true })) }';
    post('/init', { value: { main: 'main', code: waits } });
    await once(socket, 'data');
    post('/run', { value: {} });
    post('/run', { value: {} });
    await expect.poll(() => answers, { interval: 10 }).toContain('{"error":"System not ready, status is running."}');
    expect(answers).toContain('{"first":true}');
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 403']);
  });
});

describeWith(['python3'], 'python', () => {
  shareCases(python);
  exits(python, 'import sys\ndef main(args): sys.exit(0)');

  test('is not run before it is initialized', async () => {
    expect(await new Driver(python.program()).run({})).toEqual([403, { error: 'System not initialized.' }]);
  });
});

describe('a program of the docker skeleton', () => {
  shareCases(command);

  test('is not run before it is initialized', async () => {
    expect(await new Driver(command.program()).run({})).toEqual(noBinary);
  });

  test('that cannot be run is said so in the log', async () => {
    const driver = new Driver(programOfImage('a', { a: { command: ['/nowhere/exec'] } }, {})!);
    expect(await driver.init({})).toEqual(noBinary);
    expect((await driver.logs(true)).join()).toContain('/nowhere/exec');
  });

  test('that ends without a result is an error, and is run again', async () => {
    const driver = new Driver(command.program());
    await driver.init({ code: '#!/bin/sh\nread -r line\n[ "$line" = {} ] && exit 3\necho "$line"\n' });
    expect(await driver.run({})).toEqual(notDictionary);
    expect(await driver.run({ a: 1 })).toEqual([200, { a: 1 }]);
  });
});

describe('a program that listens', () => {
  shareCases(listens);
  exits(listens, 'function main() { process.exit(0) }');
});
