import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Registration } from '../../src/core/registration.ts';
import { SINGLE } from '../../src/core/registration.ts';
import { DisableRegistrations } from '../../src/flows/disable-registrations.ts';
import { Center } from '../support/center.ts';
import { ManualClock } from '../support/manual-clock.ts';

const DATABASE = 'topic_listeners';
const ID = '/guest/a';

function registration(fields: Partial<Registration> = {}): Registration {
  const base = { name: ID, trigger: ID, auth: 'u:k', batch: SINGLE, ordered: false };
  return { ...base, kind: 'mqtt', broker: '', topics: ['a'], qos: 1, ...fields } as Registration;
}

async function start() {
  const center = await Center.start();
  const documents = center.documents(DATABASE);
  await documents.prepare(new AbortController().signal);
  await center.put(DATABASE, { _id: ID, trigger: ID, topic: 'a', extra: 'kept' });
  const clock = new ManualClock();
  let connectedSince: number | undefined = 0;
  const disable = new DisableRegistrations({
    documents,
    connectedSince: () => connectedSince,
    clock,
    log: pino({ level: 'silent' }),
  });
  return {
    center,
    clock,
    disable,
    connect: (since: number | undefined) => {
      connectedSince = since;
    },
    status: async () => (await center.request('GET', `/${DATABASE}/${encodeURIComponent(ID)}`)).body.status,
  };
}

describe('disable rules', () => {
  it('disable after refusals that go on, with the reason, and enable again', async () => {
    const { disable, clock, status, center } = await start();
    await disable.refused(registration(), 404, 'no such trigger');
    await disable.refused(registration(), 404, 'no such trigger');
    expect(await status()).toBeUndefined();
    await clock.advance(10_000);
    await disable.refused(registration(), 404, 'no such trigger');
    expect(await status()).toEqual({
      active: false,
      dateChanged: expect.any(Number),
      reason: { kind: 'AUTO', statusCode: 404, message: 'no such trigger' },
    });
    const { body } = await center.request('GET', `/${DATABASE}/${encodeURIComponent(ID)}`);
    expect(body.extra).toBe('kept');
    expect(await disable.enable(ID)).toBe(true);
    expect(await status()).toMatchObject({ active: true });
  });

  it.each([408, 409, 429, 500, 503])('leave a registration alone for HTTP %i', async (code) => {
    const { disable, clock, status } = await start();
    await disable.refused(registration(), code, '');
    await clock.advance(60_000);
    await disable.refused(registration(), code, '');
    expect(await status()).toBeUndefined();
  });

  it('begin anew once a firing got through', async () => {
    const { disable, clock, status } = await start();
    await disable.refused(registration(), 404, '');
    await clock.advance(10_000);
    disable.accepted(ID);
    await disable.refused(registration(), 404, '');
    expect(await status()).toBeUndefined();
  });

  it('never disable while the center is away, nor for what was refused meanwhile', async () => {
    const { disable, clock, status, connect, center } = await start();
    await disable.refused(registration(), 401, '');
    connect(undefined);
    await clock.advance(10_000);
    await disable.refused(registration(), 401, '');
    connect(clock.elapsed());
    await disable.refused(registration(), 401, '');
    expect(await status()).toBeUndefined();

    // Away and back between two refusals.
    await clock.advance(10_000);
    connect(clock.elapsed());
    await disable.refused(registration(), 401, '');
    expect(await status()).toBeUndefined();

    // The feed has not noticed yet that the center is gone.
    await center.stop();
    await clock.advance(10_000);
    await disable.refused(registration(), 401, '');
    expect(await disable.disable(ID, { kind: 'ADMIN', message: '' })).toBe(false);
    await center.startAgain();
    expect(await status()).toBeUndefined();
  });

  it("leave alone what is fired with the site's own key, of whose faults the center knows nothing", async () => {
    const { disable, clock, status } = await start();
    const { auth: _, ...withoutKey } = registration();
    await disable.refused(withoutKey as Registration, 403, '');
    await clock.advance(60_000);
    await disable.refused(withoutKey as Registration, 403, '');
    expect(await status()).toBeUndefined();
  });
});
