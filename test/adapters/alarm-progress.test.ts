import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { ProgressFile } from '../../src/adapters/alarms/progress-file.ts';
import { temporaryFolder } from '../support/temporary.ts';

it('the progress of alarms is kept, and unreadable counts as none', async () => {
  const file = join(await temporaryFolder(), 'alarms.json');
  const progress = new ProgressFile(file, pino({ level: 'silent' }));
  expect(await progress.load()).toBeUndefined();
  const kept = {
    alarms: {
      'guest trigger': { schedule: 'x', upTo: 5, rung: 2 },
      over: { schedule: 'y', upTo: 7, rung: 1, ended: { message: 'why', remove: 'trigger' as const, told: false } },
    },
    inDoubt: [{ alarm: 'over', instant: 7, scope: 'all' as const }],
  };
  await progress.save(kept);
  expect(await new ProgressFile(file, pino({ level: 'silent' })).load()).toEqual({ format: 1, ...kept });
  for (const damaged of ['', '{', '{"format":2}', '{"format":1,"alarms":[],"inDoubt":[]}']) {
    await writeFile(file, damaged);
    expect(await progress.load()).toBeUndefined();
  }
});
