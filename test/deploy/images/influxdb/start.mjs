// Starts influxd and sets it up if it is new.
import { spawn } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';

const home = '/var/lib/influxdb2';
const paths = ['--bolt-path', `${home}/bolt`, '--sqlite-path', `${home}/sqlite`, '--engine-path', `${home}/engine`];
const influxd = spawn('influxd', ['--reporting-disabled', ...paths], {
  cwd: home,
  env: { ZONEINFO: '/usr/local/bin/zoneinfo.zip', PATH: process.env.PATH },
  stdio: 'inherit',
});
influxd.on('exit', (code) => process.exit(code ?? 1));
// influxd does not handle SIGTERM.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => influxd.kill('SIGINT'));

const url = 'http://127.0.0.1:8086/api/v2/setup';
for (;;) {
  const { allowed } = await fetch(url).then(
    (response) => response.json(),
    () => ({}),
  );
  if (allowed === false) break;
  if (allowed) {
    const { env } = process;
    const body = {
      username: env.DOCKER_INFLUXDB_INIT_USERNAME,
      password: env.DOCKER_INFLUXDB_INIT_PASSWORD,
      token: env.DOCKER_INFLUXDB_INIT_ADMIN_TOKEN,
      org: env.DOCKER_INFLUXDB_INIT_ORG,
      bucket: env.DOCKER_INFLUXDB_INIT_BUCKET,
    };
    await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  }
  await setTimeout(100);
}
