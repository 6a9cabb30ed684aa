import type { BrokerAddress } from '../support/mosquitto.ts';
import { Child, program } from '../support/processes.ts';

/** The ceiling: takes and acknowledges messages, and keeps nothing. Ends after `count` messages. */
export function startMosquittoSub({ port }: BrokerAddress, clientId: string, count: number): Child {
  const args = ['-p', String(port), '-c', '-i', clientId, '-q', '1', '-t', 'test', '-C', String(count)];
  return new Child(program('mosquitto_sub'), args, { stdio: 'ignore' });
}
