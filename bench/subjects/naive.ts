import type { BrokerAddress } from '../support/mosquitto.ts';
import { benchProgram } from '../support/paths.ts';
import { Child, type Running } from '../support/processes.ts';
import { Sink } from '../support/sink.ts';

/** A form of ourselves that saves the trouble: see `bench/programs/`. */
export async function startNaive(
  name: 'acknowledge-after-http' | 'fire-per-message',
  broker: BrokerAddress,
  sink: Sink,
): Promise<Running> {
  const child = new Child(process.execPath, [
    benchProgram(name),
    `mqtt://127.0.0.1:${broker.port}`,
    sink.url,
    Sink.auth,
  ]);
  await child.says(/subscribed/);
  return child;
}
