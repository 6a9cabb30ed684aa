import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { ROOT } from './images.ts';

/** A small reader of NetworkPolicies: as much of them as ours use. */

export interface Pod {
  /** `undefined` for a peer outside the cluster. */
  readonly namespace: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
}

interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string };
}

interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: ReadonlyArray<{ readonly port: number; readonly protocol: string }>;
}

interface Spec {
  readonly podSelector: Selector;
  readonly policyTypes: ReadonlyArray<'Ingress' | 'Egress'>;
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

export interface Policy {
  readonly namespace: string;
  readonly spec: Spec;
}

/** The policies of a base, as they are in a namespace. */
export function policiesOf(base: 'site' | 'center', namespace: string): Policy[] {
  const text = readFileSync(join(ROOT, 'deploy', base, 'network-policies.yaml'), 'utf8');
  return parseAllDocuments(text).map((document) => ({ namespace, spec: (document.toJS() as { spec: Spec }).spec }));
}

/** Whether a TCP connection may be opened: the one may call, and the other may be called. */
export function mayTalk(policies: readonly Policy[], from: Pod, to: Pod, port: number): boolean {
  return allows(policies, 'Egress', from, to, port) && allows(policies, 'Ingress', to, from, port);
}

/** Policies add up; a Pod that none selects is open. */
function allows(policies: readonly Policy[], type: 'Ingress' | 'Egress', pod: Pod, peer: Pod, port: number): boolean {
  const selecting = policies.filter(
    ({ namespace, spec }) =>
      namespace === pod.namespace && spec.policyTypes.includes(type) && selects(spec.podSelector, pod.labels),
  );
  if (selecting.length === 0) return true;
  return selecting.some(({ namespace, spec }) =>
    (type === 'Ingress' ? spec.ingress : spec.egress)?.some((rule) => {
      const peers = type === 'Ingress' ? rule.from : rule.to;
      const isPort = !rule.ports || rule.ports.some((each) => each.protocol === 'TCP' && each.port === port);
      return isPort && (!peers || peers.some((each) => isPeer(each, peer, namespace)));
    }),
  );
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: Peer, pod: Pod, namespace: string): boolean {
  // The address blocks of ours are all addresses, those of Pods among them.
  if (ipBlock) return ipBlock.cidr === '0.0.0.0/0';
  if (pod.namespace === undefined) return false;
  const isNamespace = namespaceSelector
    ? selects(namespaceSelector, { 'kubernetes.io/metadata.name': pod.namespace })
    : pod.namespace === namespace;
  return isNamespace && selects(podSelector ?? {}, pod.labels);
}

function selects({ matchLabels = {} }: Selector, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}
