import { cycleOf } from '../../actions/shared/workdir/cycle.ts';
import { openStore } from '../../actions/shared/workdir/open-store.ts';
import { pull } from '../../actions/shared/workdir/pull.ts';
import { push } from '../../actions/shared/workdir/push.ts';

/** Pushes or pulls one working directory and tells how long it took: `push|pull STORE FOLDER`. */

const [what, url, folder] = process.argv.slice(2) as [string, string, string];
const { s3AccessKeyId = '', s3SecretAccessKey = '' } = process.env;
const store = await openStore(url, { s3AccessKeyId, s3SecretAccessKey });
const cycle = cycleOf({ lake: 'fcre', date: '2020-05-22' });
const started = performance.now();
if (what === 'push') await push({ store, cycle, container: 'glm', from: folder });
else await pull({ store, cycle, container: 'next', dependencies: ['glm'], lookBack: 0, into: folder });
const seconds = (performance.now() - started) / 1_000;
process.stdout.write(`${JSON.stringify({ seconds, peakMegabytes: process.resourceUsage().maxRSS / 1_024 })}\n`);
