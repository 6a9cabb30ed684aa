/** Where alarm instants and follow-up firings enter the site's journal, and go the way of any event from there. */
export interface EventIntake {
  /**
   * Journals an event of a registration, unless one with this key was journalled before, and is among the last
   * 50,000 settled ones still; resolves when it is durable.
   * @param key unique among all events of the site that have one
   * @param payload JSON text of an object: the trigger's payload but for what the provider adds
   * @returns whether it was journalled now
   */
  accept(event: { readonly registration: string; readonly key: string; readonly payload: string }): Promise<boolean>;

  /** How many of a registration's events have no known fate yet. */
  pending(registration: string): number;
}
