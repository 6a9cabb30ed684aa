/** Asks the platform what a key may be used for. */
export interface TriggerKeys {
  /**
   * Whether the platform lets this key (UUID:KEY) use the trigger `/NAMESPACE/NAME`, and the trigger's name with `_`
   * replaced by the key's own namespace. A trigger that does not exist yet is allowed to the key of its namespace.
   */
  resolve(trigger: string, key: string): Promise<ResolvedTrigger>;
}

export type ResolvedTrigger =
  | { readonly kind: 'allowed'; readonly trigger: string }
  | { readonly kind: 'refused' }
  /** The platform can't be asked now. */
  | { readonly kind: 'unavailable' };
