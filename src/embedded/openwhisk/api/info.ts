import type { Limits } from '../limits.ts';
import { MAX_PAYLOAD_BYTES } from '../limits.ts';
import type { Platform } from './platform.ts';

const MEGABYTE = 1_048_576;

/** GET /api/v1 */
export const apiInfo = {
  api_version: '1.0.0',
  api_version_path: 'v1',
  // OpenWhisk's own client tests want a build that begins with the century.
  build: '2026-11-21',
  buildno: 'fogwhisk',
  description: 'OpenWhisk API',
  swagger_paths: { 'api-docs': '/api-docs', ui: '/docs' },
};

/** GET /: what wskdeploy and wsk read before they deploy. Times in ms, sizes in bytes. */
export function platformInfo({ limits, kinds }: Platform) {
  const { timeout, memory, logs } = limits;
  const ranges = (prefix: string) => ({
    [`${prefix}min_action_duration`]: timeout.min,
    [`${prefix}max_action_duration`]: timeout.max,
    [`${prefix}min_action_memory`]: memory.min * MEGABYTE,
    [`${prefix}max_action_memory`]: memory.max * MEGABYTE,
    [`${prefix}min_action_logs`]: logs.min * MEGABYTE,
    [`${prefix}max_action_logs`]: logs.max * MEGABYTE,
  });
  return {
    api_paths: ['/api/v1'],
    description: 'OpenWhisk',
    limits: {
      actions_per_minute: limits.invocationsPerMinute,
      triggers_per_minute: limits.firesPerMinute,
      concurrent_actions: limits.concurrentInvocations,
      sequence_length: limits.sequenceLength,
      ...ranges('default_'),
      ...ranges(''),
    },
    runtimes: Object.fromEntries(
      Object.entries(kinds).map(([family, list]) => [
        family,
        list.map((kind) => ({
          attached: true,
          default: kind.default,
          deprecated: false,
          image: kind.image,
          kind: kind.kind,
          requireMain: false,
        })),
      ]),
    ),
    support: { github: 'https://github.com/apache/openwhisk/issues', slack: 'http://slack.openwhisk.org' },
  };
}

/** GET /namespaces/NAMESPACE/limits. Times in ms, sizes in MB. */
export function limitsOf(limits: Limits) {
  return {
    concurrentInvocations: limits.concurrentInvocations,
    firesPerMinute: limits.firesPerMinute,
    invocationsPerMinute: limits.invocationsPerMinute,
    maxActionConcurrency: limits.concurrency.max,
    maxActionInstances: limits.concurrentInvocations,
    maxActionLogs: limits.logs.max,
    maxActionMemory: limits.memory.max,
    maxActionTimeout: limits.timeout.max,
    maxParameterSize: `${MAX_PAYLOAD_BYTES} B`,
    minActionConcurrency: limits.concurrency.min,
    minActionLogs: limits.logs.min,
    minActionMemory: limits.memory.min,
    minActionTimeout: limits.timeout.min,
  };
}
