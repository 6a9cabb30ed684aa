/** What a namespace and its actions may do. Sizes in MB, times in ms, as the API shows them. */
export interface Limits {
  readonly firesPerMinute: number;
  readonly invocationsPerMinute: number;
  readonly concurrentInvocations: number;
  readonly timeout: { readonly min: number; readonly max: number; readonly default: number };
  readonly memory: { readonly min: number; readonly max: number; readonly default: number };
  readonly logs: { readonly min: number; readonly max: number; readonly default: number };
  readonly concurrency: { readonly min: number; readonly max: number; readonly default: number };
  readonly sequenceLength: number;
}

export type LimitsName = 'openwhisk' | 'generous';

/** Apache OpenWhisk's own defaults. */
const openwhisk: Limits = {
  firesPerMinute: 60,
  invocationsPerMinute: 60,
  concurrentInvocations: 30,
  timeout: { min: 100, max: 300_000, default: 60_000 },
  memory: { min: 128, max: 512, default: 256 },
  logs: { min: 0, max: 10, default: 10 },
  concurrency: { min: 1, max: 1, default: 1 },
  sequenceLength: 50,
};

export const limitsByName: Readonly<Record<LimitsName, Limits>> = {
  openwhisk,
  generous: {
    ...openwhisk,
    firesPerMinute: 100_000,
    invocationsPerMinute: 100_000,
    concurrentInvocations: 1_000,
    concurrency: { ...openwhisk.concurrency, max: 100 },
  },
};

/** Bodies of invocations and fires, and an entity's parameters and annotations. */
export const MAX_PAYLOAD_BYTES = 1_048_576;
export const MAX_CODE_BYTES = 48 * 1_048_576;
/** Any request's body. */
export const MAX_BODY_BYTES = 50 * 1_048_576;
/** The longest that a blocking call waits, and its default. */
export const MAX_BLOCKING_WAIT_MS = 60_000;
