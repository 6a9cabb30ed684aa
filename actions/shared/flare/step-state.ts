import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActionError } from '../result.ts';
import type { Document, Documents } from './documents.ts';
import type { Step } from './step.ts';

/** How long a step belongs to the activation that runs it, after that has last said so. */
const LEASE_MS = 10_000;
const RENEW_MS = 2_500;

/** What is known of a step of a cycle; `fogwhisk flare status` shows it. */
export interface StepDocument extends Document {
  readonly kind: 'step';
  readonly lake: string;
  readonly date: string;
  readonly step: string;
  readonly state: 'running' | 'failed' | 'done';
  /** The firing for which it was last run. */
  readonly batchId?: string;
  /** How often it was run for this firing. */
  readonly attempts: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  /** The activation that runs it, and until when the step is its own. */
  readonly runner: string;
  readonly leaseUntil: number;
  readonly error?: { readonly code: string; readonly step?: string; readonly message: string };
  /** Of a step that is done: its archive, and whether the next step was told. */
  readonly archive?: { readonly key: string; readonly size: number; readonly sha256: string };
  readonly handedOn?: boolean;
}

export type Claim =
  | { readonly kind: 'run'; readonly run: StepRun }
  | { readonly kind: 'running'; readonly forMs: number }
  | { readonly kind: 'done'; readonly document: StepDocument };

export function stepId({ cycle, name }: Pick<Step, 'cycle' | 'name'>): string {
  return `${cycle.lake}:${cycle.date}:${name}`;
}

/**
 * Takes a step for this activation, unless another one runs it or it is done. Of activations that come at once, one gets it.
 * @param batchId the firing, if it is the provider's
 */
export async function claim(state: Documents, step: Step, batchId: string | undefined): Promise<Claim> {
  const runner = randomUUID();
  const { cycle, name } = step;
  const document = await state.update<StepDocument>(stepId(step), (there) => {
    const isSame = there !== undefined && batchId !== undefined && there.batchId === batchId;
    if (there?.state === 'running' && there.leaseUntil > Date.now()) return undefined;
    // A forced step is done again once, however often its firing is repeated.
    if (there?.state === 'done' && (isSame || !step.force)) return undefined;
    const attempts = isSame ? there.attempts + 1 : 1;
    return {
      _id: stepId(step),
      kind: 'step',
      lake: cycle.lake,
      date: cycle.date,
      step: name,
      state: 'running',
      ...(batchId !== undefined && { batchId }),
      attempts,
      startedAt: new Date().toISOString(),
      runner,
      leaseUntil: Date.now() + LEASE_MS,
    };
  });
  if (document!.runner === runner) return { kind: 'run', run: new StepRun(state, document!) };
  if (document!.state === 'done') return { kind: 'done', document: document! };
  return { kind: 'running', forMs: Math.max(0, document!.leaseUntil - Date.now()) };
}

/** A step that this activation runs: the lease is renewed until the run has ended, one way or the other. */
export class StepRun {
  readonly #state: Documents;
  #document: StepDocument;
  readonly #lost = new AbortController();
  readonly #ended = new AbortController();
  readonly #renewing: Promise<void>;

  constructor(state: Documents, document: StepDocument) {
    this.#state = state;
    this.#document = document;
    this.#renewing = this.#renew();
  }

  get attempts(): number {
    return this.#document.attempts;
  }

  /** Aborted (`LEASE_LOST`) when the step is no longer this activation's: nothing may be pushed any more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** @returns undefined if the step was lost, and is another's now */
  done(archive: StepDocument['archive']): Promise<StepDocument | undefined> {
    return this.#end({ state: 'done', handedOn: false, ...(archive && { archive }) });
  }

  /** @returns undefined if the step was lost, and is another's now */
  failed(error: NonNullable<StepDocument['error']>): Promise<StepDocument | undefined> {
    return this.#end({ state: 'failed', error });
  }

  async #end(end: Partial<StepDocument>): Promise<StepDocument | undefined> {
    this.#ended.abort();
    await this.#renewing;
    if (this.lost.aborted) return undefined;
    return this.#put({ ...this.#document, ...end, endedAt: new Date().toISOString(), leaseUntil: 0 });
  }

  async #renew(): Promise<void> {
    for (;;) {
      await sleep(RENEW_MS, undefined, { signal: this.#ended.signal }).catch(() => {});
      if (this.#ended.signal.aborted) return;
      const renewed = this.#put({ ...this.#document, leaseUntil: Date.now() + LEASE_MS }).catch(() => this.#document);
      if (!(await renewed) || this.#document.leaseUntil < Date.now()) {
        const problem = 'the step was lost: its lease could not be renewed in time, and another activation may run it.';
        return this.#lost.abort(new ActionError('LEASE_LOST', problem));
      }
    }
  }

  /** Writes what becomes of the step, if it still is this activation's. An answer that was lost is looked up. */
  async #put(document: StepDocument): Promise<StepDocument | undefined> {
    const revision = await this.#state.put(document);
    const there = revision ? { ...document, _rev: revision } : await this.#state.get<StepDocument>(document._id);
    if (there?.runner !== document.runner) return undefined;
    this.#document = there;
    return revision || there.state === document.state ? there : this.#put({ ...document, _rev: there._rev! });
  }
}

/** Notes that the next step was told, so that nobody tells it again. */
export async function markHandedOn(state: Documents, { _id, runner }: StepDocument): Promise<void> {
  await state.update<StepDocument>(_id, (there) =>
    there?.runner === runner && there.state === 'done' && !there.handedOn ? { ...there, handedOn: true } : undefined,
  );
}
