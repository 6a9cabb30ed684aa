import { describe, expect, test } from 'vitest';
import type { Message } from '../../../src/embedded/broker/message-store.ts';
import { OutgoingQueue } from '../../../src/embedded/broker/outgoing-queue.ts';

const message = (bytes = 100): Message => ({ position: 0, bytes, record: undefined, holders: 1 });

function filled(count: number, base = 0): OutgoingQueue {
  const queue = new OutgoingQueue(base);
  for (let index = 0; index < count; index++) queue.push({ message: message(), qos: 1, received: false });
  queue.markDurable(queue.end);
  return queue;
}

function sendAll(queue: OutgoingQueue): Array<{ packetId: number; duplicate: boolean }> {
  const sent: Array<{ packetId: number; duplicate: boolean }> = [];
  for (let due = queue.peek(); due; due = queue.peek()) {
    sent.push({ packetId: due.packetId, duplicate: due.duplicate });
    queue.advance();
  }
  return sent;
}

describe('OutgoingQueue', () => {
  test('sends nothing that is not durable', () => {
    const queue = new OutgoingQueue();
    queue.push({ message: message(), qos: 1, received: false });
    expect(queue.peek()).toBeUndefined();
    queue.markDurable(1);
    expect(queue.peek()?.packetId).toBe(1);
  });

  test('stops at the window until the oldest message is settled', () => {
    const queue = filled(5_000);
    expect(sendAll(queue)).toHaveLength(2_048);
    queue.settle(1);
    expect(sendAll(queue)).toHaveLength(0);
    queue.settle(0);
    expect(sendAll(queue).map(({ packetId }) => packetId)).toEqual([2_049, 2_050]);
  });

  test('bounds the bytes in flight, but always lets one message out', () => {
    const queue = new OutgoingQueue();
    for (let index = 0; index < 3; index++) queue.push({ message: message(9_000_000), qos: 1, received: false });
    queue.markDurable(3);
    expect(sendAll(queue)).toHaveLength(1);
    queue.settle(0);
    expect(sendAll(queue)).toHaveLength(1);
  });

  test('packet ids stay between 1 and 65,535 and find their message after they wrapped', () => {
    const queue = filled(10, 65_530);
    expect(sendAll(queue).map(({ packetId }) => packetId)).toEqual([
      65_531, 65_532, 65_533, 65_534, 65_535, 1, 2, 3, 4, 5,
    ]);
    expect(queue.inFlight(65_535)).toBe(65_534);
    expect(queue.inFlight(1)).toBe(65_535);
    expect(queue.inFlight(6)).toBeUndefined();
    queue.settle(65_535);
    expect(queue.inFlight(1)).toBeUndefined();
  });

  test('sends again with the same packet ids, as duplicates, what is not settled', () => {
    const queue = filled(4);
    queue.peek();
    queue.advance();
    queue.peek();
    queue.advance();
    queue.settle(0);
    queue.rewind();
    expect(sendAll(queue)).toEqual([
      { packetId: 2, duplicate: true },
      { packetId: 3, duplicate: false },
      { packetId: 4, duplicate: false },
    ]);
  });

  test('counts what it holds', () => {
    const queue = filled(3);
    queue.settle(1);
    queue.settle(1);
    queue.settle(99);
    expect([queue.count, queue.bytes, queue.base, queue.end]).toEqual([2, 200, 0, 3]);
    queue.settle(0);
    expect([queue.count, queue.bytes, queue.base, queue.end]).toEqual([1, 100, 2, 3]);
  });
});
