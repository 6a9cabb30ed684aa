/** The documents of the `whisks` database, in the members that OpenWhisk's API shows. */

export interface Parameter {
  readonly key: string;
  readonly value: unknown;
  /** Given to the process as an environment variable when it is initialized, instead of to the action. */
  readonly init?: true;
}

interface EntityBase {
  /** The document's key: `namespace/[package/]name`. */
  readonly _id: string;
  readonly _rev?: string;
  /** `namespace[/package]` */
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly publish: boolean;
  readonly annotations: readonly Parameter[];
  /** Epoch ms of the last change by a user. */
  readonly updated: number;
}

export type Exec =
  | { readonly kind: 'sequence'; readonly components: readonly string[] }
  | {
      readonly kind: 'blackbox';
      readonly image: string;
      readonly binary: boolean;
      readonly code?: string;
      readonly main?: string;
    }
  | { readonly kind: string; readonly code: string; readonly binary: boolean; readonly main?: string };

export interface ActionLimits {
  readonly concurrency: number;
  readonly instances?: number;
  /** MB */
  readonly logs: number;
  /** MB */
  readonly memory: number;
  /** ms */
  readonly timeout: number;
}

export interface Action extends EntityBase {
  readonly entityType: 'action';
  readonly exec: Exec;
  readonly limits: ActionLimits;
  readonly parameters: readonly Parameter[];
}

export interface Package extends EntityBase {
  readonly entityType: 'package';
  readonly binding: { readonly namespace: string; readonly name: string } | Record<string, never>;
  readonly parameters: readonly Parameter[];
}

export type RuleStatus = 'active' | 'inactive';

/** A reference as rules and triggers keep it: `path` is `namespace[/package]`. */
export interface Reference {
  readonly path: string;
  readonly name: string;
}

export interface Trigger extends EntityBase {
  readonly entityType: 'trigger';
  readonly limits: Record<string, never>;
  readonly parameters: readonly Parameter[];
  /** By `namespace/rule`. The rules' states live here, so that a fire reads one document. */
  readonly rules?: Readonly<Record<string, { readonly action: Reference; readonly status: RuleStatus }>>;
}

export interface Rule extends EntityBase {
  readonly entityType: 'rule';
  readonly action: Reference;
  readonly trigger: Reference;
}

export type Entity = Action | Package | Trigger | Rule;
export type EntityType = Entity['entityType'];

export function isBinding(entity: Package): entity is Package & { binding: { namespace: string; name: string } } {
  return 'name' in entity.binding;
}

export function isSequence(exec: Exec): exec is Extract<Exec, { kind: 'sequence' }> {
  return exec.kind === 'sequence';
}

/** Whether an action, by what it answers, says which actions run in turns with it. */
export function isConductor(action: Action): boolean {
  return isTruthy(annotationOf(action, 'conductor'));
}

export function referenceId({ path, name }: Reference): string {
  return `${path}/${name}`;
}

export function annotationOf(entity: { annotations: readonly Parameter[] }, key: string): unknown {
  return entity.annotations.find((annotation) => annotation.key === key)?.value;
}

/** Whether an annotation means yes: it is there and not false, null, 0 or empty. */
export function isTruthy(value: unknown): boolean {
  return Boolean(value) && !(typeof value === 'object' && Object.keys(value as object).length === 0);
}

/** Later ones win; the place of a key is where it came first. */
export function mergeParameters(...lists: ReadonlyArray<readonly Parameter[]>): Parameter[] {
  const merged = new Map<string, Parameter>();
  for (const list of lists) for (const parameter of list) merged.set(parameter.key, parameter);
  return [...merged.values()];
}

/** The parameters as arguments, without those that go to the environment. */
export function argumentsOf(parameters: readonly Parameter[]): Record<string, unknown> {
  return Object.fromEntries(parameters.filter(({ init }) => !init).map(({ key, value }) => [key, value]));
}

/** What the API shows of a document. */
export function shown<T extends Entity>(entity: T): Omit<T, '_id' | '_rev' | 'entityType'> {
  const { _id, _rev, entityType, ...rest } = entity;
  return rest;
}
