import { createHmac } from 'node:crypto';
import fastify from 'fastify';
import { beforeEach, describe, expect, test } from 'vitest';
import { hookToken } from '../../src/core/token.ts';
import { addHookRoutes } from '../../src/http/hook-routes.ts';

const SITE_KEY = 'key of the site';
const token = hookToken(SITE_KEY, 'push-fcre');
const body = '{"ref": "refs/heads/fcre-catwalk-data"}';

let accepted: Array<{ registration: string; key: string; payload: string }>;
let server: ReturnType<typeof fastify>;

beforeEach(() => {
  accepted = [];
  server = fastify();
  addHookRoutes(server, {
    hooks: [
      { name: 'push-fcre', trigger: 'flare-data-repo-push-fcre' },
      { name: 'other', trigger: 'other' },
    ],
    siteKey: SITE_KEY,
    intake: {
      accept: async (event) => {
        const isNew = !accepted.some(({ key }) => key === event.key);
        if (isNew) accepted.push(event);
        return isNew;
      },
    },
    now: () => Date.UTC(2020, 4, 22, 3),
  });
});

const post = (headers: Record<string, string>, payload: string | Buffer = body, url = '/hooks/push-fcre') =>
  server.inject({ method: 'POST', url, headers: { 'content-type': 'application/json', ...headers }, payload });
const sign = (key: string, text: string) => `sha256=${createHmac('sha256', key).update(text).digest('hex')}`;

describe('a webhook', () => {
  test('fires its trigger by way of the journal, with the time at which it came', async () => {
    const response = await post({ authorization: `Bearer ${token}`, 'x-github-event': 'push' });
    expect([response.statusCode, response.json()]).toEqual([202, { accepted: true }]);
    expect(accepted).toMatchObject([{ registration: 'next: flare-data-repo-push-fcre' }]);
    expect(JSON.parse(accepted[0]!.payload)).toEqual({
      type: 'hook',
      hook: 'push-fcre',
      event: 'push',
      scheduledFor: '2020-05-22T03:00:00.000Z',
      body: { ref: 'refs/heads/fcre-catwalk-data' },
    });
  });

  test.each([
    ["GitHub's signature", { 'x-hub-signature-256': sign(token, body) }, undefined],
    ["GitLab's token", { 'x-gitlab-token': token }, undefined],
    ['a token in the path', {}, `/hooks/push-fcre/${token}`],
  ])('takes %s', async (_, headers, url) => {
    expect((await post(headers, body, url)).statusCode).toBe(202);
  });

  test.each([
    ['nothing', {}, undefined],
    ['a wrong token', { authorization: 'Bearer no' }, undefined],
    ["another hook's token", { authorization: `Bearer ${hookToken(SITE_KEY, 'other')}` }, undefined],
    ['a signature over something else', { 'x-hub-signature-256': sign(token, `${body} `) }, undefined],
    [
      'a wrong signature beside the right token',
      { 'x-hub-signature-256': 'sha256=00', 'x-gitlab-token': token },
      undefined,
    ],
    ['a hook that is not there', { authorization: `Bearer ${hookToken(SITE_KEY, 'none')}` }, '/hooks/none'],
  ])('refuses %s', async (_, headers, url) => {
    expect((await post(headers, body, url)).statusCode).toBe(401);
    expect(accepted).toEqual([]);
  });

  test('fires once for a delivery that comes again, and each time for what names none', async () => {
    const headers = { authorization: `Bearer ${token}` };
    for (const _ of [1, 2]) await post({ ...headers, 'x-github-delivery': 'd1' });
    expect(accepted).toHaveLength(1);
    for (const _ of [1, 2]) expect((await post(headers)).json()).toEqual({ accepted: true });
    expect(accepted).toHaveLength(3);
  });

  test('takes any body of at most half a megabyte, JSON or not', async () => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-www-form-urlencoded' };
    await post(headers, 'payload=x');
    expect(JSON.parse(accepted[0]!.payload)).toMatchObject({ body: 'payload=x' });
    expect((await post(headers, Buffer.alloc(600 * 1024))).statusCode).toBe(413);
    expect((await server.inject({ method: 'POST', url: `/hooks/push-fcre/${token}` })).statusCode).toBe(202);
  });
});
