import { type Packet, parser } from 'mqtt-packet';
import type { Ledger } from './ledger.ts';
import { numberOf } from './readings.ts';
import type { Observer } from './tcp-link.ts';

/** Notes in the ledger what the broker handed to the provider, and what the provider acknowledged. */
export function observeMqtt(ledger: Ledger): Observer {
  const readings = new Map<number, number>();
  return {
    toClient: packets((packet) => {
      if (packet.cmd !== 'publish' || packet.messageId === undefined) return;
      const n = numberOf(packet.payload.toString());
      readings.set(packet.messageId, n);
      ledger.delivered(n);
    }),
    fromClient: packets((packet) => {
      const n = packet.cmd === 'puback' && readings.get(packet.messageId!);
      if (typeof n === 'number') ledger.acknowledged(n);
    }),
  };
}

function packets(onPacket: (packet: Packet) => void): (bytes: Buffer) => void {
  const parse = parser({ protocolVersion: 5 });
  parse.on('packet', onPacket);
  return (bytes) => parse.parse(bytes);
}
