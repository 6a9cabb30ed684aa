import type { EntityStore } from '../entities/entity-store.ts';
import type { Identity } from '../entities/packages.ts';
import type { ActivationStore } from '../invocation/activation-store.ts';
import type { Invoker } from '../invocation/invoker.ts';
import type { Kind } from '../kinds.ts';
import type { Limits } from '../limits.ts';
import type { Throttle } from '../throttle.ts';

/** What the API's routes work with. */
export interface Platform {
  readonly store: EntityStore;
  readonly activations: ActivationStore;
  readonly invoker: Invoker;
  readonly throttle: Throttle;
  readonly limits: Limits;
  readonly kinds: Record<string, Kind[]>;
  /** By `uuid:key`. */
  readonly identities: ReadonlyMap<string, Identity>;
}
