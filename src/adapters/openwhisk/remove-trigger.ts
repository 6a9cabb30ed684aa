import type { Entities } from './entities.ts';

/**
 * Removes a trigger (`NAME`, or `/NAMESPACE/NAME`), and with it the rules that it has; what is gone already is as good.
 * @throws OpenwhiskRefusal, and the network's error where nothing answers
 */
export async function removeTrigger(
  entities: Entities,
  trigger: string,
  { withRules }: { readonly withRules: boolean },
): Promise<void> {
  const [namespace, name] = trigger.startsWith('/') ? trigger.slice(1).split('/') : ['_', trigger];
  const path = entityPath(namespace!, 'triggers', name!);
  if (withRules) {
    const { rules = {} } = (await entities.get<{ rules?: Record<string, unknown> }>(path)) ?? {};
    for (const rule of Object.keys(rules)) {
      const [ruleNamespace, ruleName] = rule.replace(/^\//, '').split('/');
      await entities.remove(entityPath(ruleNamespace!, 'rules', ruleName!));
    }
  }
  await entities.remove(path);
}

function entityPath(namespace: string, collection: 'triggers' | 'rules', name: string): string {
  return `/${encodeURIComponent(namespace)}/${collection}/${encodeURIComponent(name)}`;
}
