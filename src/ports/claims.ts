/** The right to ring one instant of one alarm. */
export interface AlarmClaim {
  readonly alarm: string;
  /** ms since 1970 */
  readonly instant: number;
  /** Among whom there is one: the replicas of this site, or all sites. */
  readonly scope: 'site' | 'all';
}

/** Decides in the center who rings an instant. */
export interface Claims {
  /**
   * Claims an instant. `won` for one claimant at most, and again for the same replica however often it asks, also after
   * a restart; `centerAway` leaves open whether the claim was made.
   */
  take(claim: AlarmClaim): Promise<'won' | 'lost' | 'centerAway'>;

  /** Whether this replica has claimed an instant; claims nothing. */
  isOurs(claim: AlarmClaim): Promise<boolean | 'centerAway'>;

  /** Forgets claims of instants before this time (ms since 1970), some hundreds at most; returns how many. */
  forget(before: number): Promise<number>;
}
