import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerAddress } from '../support/mosquitto.ts';
import { Child, program, type Running } from '../support/processes.ts';
import type { Sink } from '../support/sink.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Telegraf: the one known peer that acknowledges after delivery. Flushed often, so that no run waits for its timer. */
export async function startTelegraf(broker: BrokerAddress, sink: Sink): Promise<Running> {
  const file = join(temporaryFolder(), 'telegraf.conf');
  writeFileSync(
    file,
    `[agent]
  interval = "1s"
  flush_interval = "100ms"
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  omit_hostname = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:${broker.port}"]
  topics = ["test"]
  qos = 1
  persistent_session = true
  client_id = "telegraf"
  max_undelivered_messages = 20000
  data_format = "json"
[[outputs.influxdb_v2]]
  urls = ["${sink.url}"]
  token = "bench"
  organization = "bench"
  bucket = "bench"
  content_encoding = "identity"
`,
  );
  const child = new Child(program('telegraf'), ['--config', file]);
  await child.says(/Connected \[tcp:/);
  await sleep(500); // it does not say when it has subscribed
  return child;
}
