import { setTimeout as sleep } from 'node:timers/promises';
import { BooksWatch } from './books-watch.ts';
import { Ledger } from './ledger.ts';
import { Publishers } from './publishers.ts';
import { startSite } from './site.ts';
import { countParked, countPoints } from './stored.ts';
const ledgerAcked = () => (globalThis as any).acked ?? 0;
const which = process.argv[2];
const ledger = new Ledger(2_000_000);
const site = await startSite({ influxdb: 'influxd', forgetsJournal: false }, ledger);
const books = new BooksWatch(site.status);
const finish = async () => {
  const ok = await books.settled(60_000);
  console.log('DUP', (globalThis as any).dups, 'sent', ledgerAcked()); console.log('settled', ok, JSON.stringify(books.last));
  books.stop();
  await site.provider.end('SIGTERM');
  await countParked(site.dataDir, ledger); await countPoints(site.influx.url, ledger);
  const { lost, duplicated, ...rest } = ledger.verdict();
  console.log({ ...rest, lost: lost.length, duplicated: duplicated.length, misdeeds: site.provider.misdeeds });
  await site.close(process.argv[3] === 'keep'); console.log(site.folder);
  process.exit();
};
const publishers = new Publishers(site.brokerPort, which === 'window' || which === 'queue' ? 20_000 : which === 'deaf' ? 5_000 : 100, ledger);
publishers.start();
if (which === 'deaf') {
  await sleep(3_000);
  site.mqtt.drop('fromClient');
  await sleep(Number(process.argv[4] ?? 4_000));
  site.mqtt.cutDropping();
  await publishers.stop(5_000);
  await finish();
}
if (which === 'queue') {
  await sleep(1_000);
  await site.provider.end('SIGKILL');
  await sleep(4_000);
  await publishers.stop(15_000);
  await site.provider.start();
  while (ledgerAcked() < 12_000) await sleep(2);
  site.mqtt.drop('fromClient');
  await sleep(3_000);
  console.log('sent by broker', ledgerAcked());
  site.mqtt.cutDropping();
  await finish();
}
if (which === 'token') {
  await sleep(3_000);
  site.openwhisk.http.fault = { kind: 'status', status: 503 };
  await sleep(8_000);
  await publishers.stop(5_000);
  await site.setClock!(2 * 3600);
  await sleep(3_000);
  site.openwhisk.http.heal();
  console.log('platform is back'); 
  await finish();
}
if (which === 'window') {
  await sleep(1_000);
  await site.provider.end('SIGKILL');
  await sleep(8_000);
  await publishers.stop(15_000);
  console.log('published', ledger.published);
  for (let i = 0; i < 3; i++) {
    await site.provider.start();
    const stop = ledgerAcked() + 30_000; 
    while (ledgerAcked() < stop) await sleep(5);
    await site.provider.end('SIGKILL');
    console.log('killed');
  }
  await site.provider.start();
  await finish();
}
