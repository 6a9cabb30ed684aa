import { randomUUID } from 'node:crypto';
import type { Parameter } from '../entities/entities.ts';

/** 0 success, 1 application error, 2 action developer error, 3 whisk internal error. */
export type StatusCode = 0 | 1 | 2 | 3;

const STATUS_TEXTS = ['success', 'application error', 'action developer error', 'whisk internal error'] as const;

/** What became of an invocation or fire. `result` is JSON as it came, so that large ones are never parsed and printed again. */
export interface Activation {
  readonly activationId: string;
  readonly namespace: string;
  readonly name: string;
  /** `[package/]name`, by which lists are filtered. */
  readonly path: string;
  readonly subject: string;
  readonly version: string;
  readonly annotations: readonly Parameter[];
  readonly start: number;
  /** Absent for triggers, as `duration` is. */
  readonly end?: number;
  readonly duration?: number;
  /** The sequence that this is a component of. */
  readonly cause?: string;
  readonly statusCode: StatusCode;
  readonly result: Buffer;
  /** Characters of the runtime's answer; absent for results made by the platform. */
  readonly size?: number;
  readonly logs: readonly string[];
}

/** 32 lower-case hex digits. */
export function newActivationId(): string {
  return randomUUID().replaceAll('-', '');
}

/** The `response` object as JSON. */
export function responseJson(activation: Activation): Buffer {
  const { statusCode, size, result } = activation;
  const rest = JSON.stringify({
    ...(size === undefined ? {} : { size }),
    status: STATUS_TEXTS[statusCode],
    success: statusCode === 0,
  });
  return Buffer.concat([Buffer.from('{"result":'), result, Buffer.from(`,${rest.slice(1)}`)]);
}

/** The whole record as JSON. @param logs what to show as logs: the answer to a blocking call has none yet */
export function recordJson(activation: Activation, logs = activation.logs): Buffer {
  const { activationId, annotations, cause, duration, end, name, namespace, start, subject, version } = activation;
  const head = JSON.stringify({
    activationId,
    annotations,
    cause,
    duration,
    end,
    logs,
    name,
    namespace,
    publish: false,
  });
  const tail = JSON.stringify({ start, subject, version });
  return Buffer.concat([
    Buffer.from(`${head.slice(0, -1)},"response":`),
    responseJson(activation),
    Buffer.from(`,${tail.slice(1)}`),
  ]);
}

/** What lists show. */
export function summaryOf(activation: Activation): Record<string, unknown> {
  const { statusCode, duration, name, activationId, end, start, namespace, annotations, version, cause } = activation;
  return {
    statusCode,
    duration,
    name,
    activationId,
    end,
    start,
    namespace,
    publish: false,
    annotations,
    version,
    cause,
  };
}
