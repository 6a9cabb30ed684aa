import { ApiError, malformed, tooLarge } from '../api-error.ts';
import { isObject, type JsonObject } from '../json.ts';
import type { Kind } from '../kinds.ts';
import { type Limits, MAX_CODE_BYTES, MAX_PAYLOAD_BYTES } from '../limits.ts';
import type { ActionLimits, Exec, Parameter } from './entities.ts';
import { containerOf, parseQualifiedName } from './names.ts';

/** The members that all entities' bodies have. Absent means: not given, keep what is there. */
export interface CommonContent {
  readonly parameters?: Parameter[];
  readonly annotations?: Parameter[];
  readonly publish?: boolean;
  readonly version?: string;
}

/** Reads the members that a PUT of any entity may have, in the order (and words) of OpenWhisk. @throws ApiError 400, 413 */
export function parseCommon(body: unknown): { content: JsonObject; common: CommonContent } {
  if (!isObject(body)) throw malformed("Object expected in field 'exec'");
  const common = {
    ...optional('parameters', given(body.parameters) ? parseParameters(body.parameters) : undefined),
    ...optional('annotations', given(body.annotations) ? parseParameters(body.annotations) : undefined),
    ...optional('version', given(body.version) ? parseVersion(body.version) : undefined),
    ...optional('publish', given(body.publish) ? parseBoolean(body.publish) : undefined),
  };
  checkSize('parameters', common.parameters);
  checkSize('annotations', common.annotations);
  return { content: body, common };
}

/** What a PUT says of an action's code. @throws ApiError 400 */
export function parseExec(value: unknown, kinds: Record<string, Kind[]>, namespace: string): Exec {
  if (!isObject(value)) throw malformed('JSON object expected');
  const { kind } = value;
  if (typeof kind !== 'string') throw malformed("'kind' must be a string defined in 'exec'");
  if (kind === 'sequence') return parseSequence(value, namespace);
  const main = typeof value.main === 'string' ? { main: value.main } : {};
  if (kind === 'blackbox') {
    if (typeof value.image !== 'string')
      throw malformed("'image' must be a string defined in 'exec' for 'blackbox' actions");
    if (!IMAGE.test(value.image)) throw malformed('could not parse image name');
    const code = typeof value.code === 'string' ? { code: value.code } : {};
    return { kind, image: value.image, binary: isBase64(code.code ?? ''), ...code, ...main };
  }
  const resolved = resolveKind(kind, kinds);
  const { code } = value;
  if (code === undefined) {
    throw malformed(`'code' must be a string or attachment object defined in 'exec' for '${resolved}' actions`);
  }
  if (typeof code !== 'string') throw malformed(`Could not deserialize as attachment record: ${JSON.stringify(code)}`);
  return { kind: resolved, code, binary: isBase64(code), ...main };
}

/** @throws ApiError 413 */
export function checkCodeSize(exec: Exec): void {
  const bytes = 'code' in exec && exec.code !== undefined ? Buffer.byteLength(exec.code) : 0;
  if (bytes > MAX_CODE_BYTES) throw tooLarge('exec', bytes, MAX_CODE_BYTES);
}

/** The limits that a PUT gives; what they may be is checked by {@link checkLimits}. @throws ApiError 400 */
export function parseLimits(value: unknown): Partial<ActionLimits> {
  if (!isObject(value)) throw malformed("Object expected in field 'timeout'");
  return {
    ...optional('timeout', wholeNumber(value.timeout, 'time limit')),
    ...optional('memory', size(value.memory, 'memory limit')),
    ...optional('logs', size(value.logs, 'log limit')),
    ...optional('concurrency', wholeNumber(value.concurrency, 'concurrency limit')),
    ...optional('instances', wholeNumber(value.instances, 'instance limit')),
  };
}

/** @throws ApiError 400 for the first limit that this platform does not allow */
export function checkLimits(limits: Partial<ActionLimits>, allowed: Limits): void {
  const check = (given: number | undefined, range: { min: number; max: number }, what: string, unit: string) => {
    if (given === undefined) return;
    const show = (amount: number) => `${amount}${unit}`;
    if (given < range.min) throw requirement(`${what} ${show(given)} below allowed threshold of ${show(range.min)}`);
    if (given > range.max) throw requirement(`${what} ${show(given)} exceeds allowed threshold of ${show(range.max)}`);
  };
  check(limits.memory, allowed.memory, 'memory size', ' MB');
  check(limits.timeout, allowed.timeout, 'duration', ' milliseconds');
  check(limits.logs, allowed.logs, 'log size', ' MB');
  check(limits.concurrency, allowed.concurrency, 'concurrency', '');
  if ((limits.instances ?? 0) > allowed.concurrentInvocations) {
    throw new ApiError(
      400,
      `Max action instance concurrency must not exceed your namespace concurrency of ${allowed.concurrentInvocations}.`,
    );
  }
}

/** The version after this one: the last number counts. */
export function nextVersion(version: string): string {
  const [major, minor, patch] = version.split('.');
  return `${major}.${minor}.${Number(patch) + 1}`;
}

const IMAGE = /^(?:[\w.-]+(?::\d+)?\/)?[a-z0-9_.-]+(?:\/[a-z0-9_.-]+)*(?::[\w.-]+)?(?:@[\w+.-]+:[0-9a-f]+)?$/i;

/** OpenWhisk's test for binary code: strict base64 and not empty. */
function isBase64(code: string): boolean {
  const text = code.trim();
  return text.length > 0 && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function parseSequence(value: JsonObject, namespace: string): Exec {
  const { components } = value;
  if (components === undefined) throw malformed("'components' must be defined for sequence kind");
  if (!Array.isArray(components)) throw malformed("'components' must be an array");
  const paths = components.map((component) => parseQualifiedName(component, namespace));
  return { components: paths.map((path) => `/${containerOf(path)}/${path.name}`), kind: 'sequence' };
}

function resolveKind(kind: string, kinds: Record<string, Kind[]>): string {
  const all = Object.values(kinds).flat();
  if (all.some((candidate) => candidate.kind === kind)) return kind;
  const family = kind.endsWith(':default') ? kinds[kind.slice(0, -':default'.length)] : undefined;
  const fallback = family?.find((candidate) => candidate.default);
  if (fallback) return fallback.kind;
  const valid = [...all.map((candidate) => candidate.kind), 'blackbox', 'sequence'].map((name) => `'${name}'`);
  throw malformed(
    `The specified runtime '${kind}' is not supported by this platform. Valid values are: ${valid.join(', ')}.`,
  );
}

function parseParameters(value: unknown): Parameter[] {
  if (!Array.isArray(value)) throw malformed('parameters malformed!');
  const parameters = new Map<string, Parameter>();
  for (const item of value) {
    if (!isObject(item) || typeof item.key !== 'string' || item.value === undefined)
      throw malformed('parameters malformed!');
    parameters.set(item.key, { key: item.key, value: item.value, ...(item.init === true ? { init: true } : {}) });
  }
  return [...parameters.values()];
}

function parseVersion(value: unknown): string {
  const parts = typeof value === 'string' && /^\d+(\.\d+){0,2}$/.test(value) ? value.split('.').map(Number) : [0];
  if (!parts.some((part) => part > 0)) throw malformed('semantic version malformed');
  return [parts[0], parts[1] ?? 0, parts[2] ?? 0].join('.');
}

function parseBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw malformed(`Expected JsBoolean, but got ${JSON.stringify(value)}`);
  return value;
}

function wholeNumber(value: unknown, what: string): number | undefined {
  if (!given(value)) return undefined;
  if (typeof value !== 'number') throw malformed(`${what} malformed`);
  if (!Number.isInteger(value)) throw malformed(`requirement failed: ${what} must be whole number`);
  return value;
}

function size(value: unknown, what: string): number | undefined {
  const amount = wholeNumber(value, what);
  if (amount !== undefined && amount < 0) {
    throw malformed('requirement failed: a negative size of an object is not allowed.');
  }
  return amount;
}

function checkSize(part: 'parameters' | 'annotations', list: readonly Parameter[] | undefined): void {
  let bytes = 0;
  for (const { key, value } of list ?? []) bytes += Buffer.byteLength(key) + Buffer.byteLength(JSON.stringify(value));
  if (bytes > MAX_PAYLOAD_BYTES) throw tooLarge(part, bytes, MAX_PAYLOAD_BYTES);
}

function requirement(text: string): ApiError {
  return new ApiError(400, `requirement failed: ${text}`);
}

/** OpenWhisk takes null for absent. */
function given(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function optional<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [key in K]?: V };
}
