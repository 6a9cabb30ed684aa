import type { Logger } from 'pino';
import { MAX_MISFIRE_HORIZON_SECONDS } from '../core/alarm.ts';
import { dueInstants } from '../core/due-instants.ts';
import type { AlarmRegistration } from '../core/registration.ts';
import type { AlarmEnd, AlarmMark, ProgressStore } from '../ports/alarm-progress.ts';
import type { AlarmClaim, Claims } from '../ports/claims.ts';
import type { Clock } from '../ports/clock.ts';
import type { EventIntake } from '../ports/event-intake.ts';
import { Agenda } from './agenda.ts';
import {
  type AlarmState,
  type AlarmStatus,
  alarmState,
  endOf,
  eventOf,
  hasRungEnough,
  iso,
  nextDue,
  statusOf,
  WRONG_CLOCK_MS,
} from './alarm-state.ts';

/** The clock is looked at this often; a step of it is noticed within this time. */
const TICK_MS = 1_000;
/** What the wall clock may gain or lose against the monotonic one in a tick without having been set. */
const CLOCK_STEP_MS = 2_000;
const SAVE_EVERY_MS = 5_000;
/** Alarms that ring at the same time: the journal writes them together. */
const MAX_RINGING = 128;
/** What can't be done now is tried again after this long, or up to twice as long. */
const RETRY_MS = 5_000;
const FORGET_CLAIMS_EVERY_MS = 6 * 3_600_000;
const KEEP_CLAIMS_MS = (MAX_MISFIRE_HORIZON_SECONDS + 86_400) * 1_000;

export interface RingAlarmsParts {
  readonly intake: EventIntake;
  readonly claims: Claims;
  /** The site has several replicas, so that instants of the site are claimed, too. */
  readonly hasReplicas: boolean;
  readonly progress: ProgressStore;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Told once, and again after a failure, when an alarm will not ring again; where something is to go with it, only when
   * the fate of its last event is known.
   */
  readonly onEnded: (registration: AlarmRegistration, end: Pick<AlarmEnd, 'message' | 'remove'>) => Promise<void>;
}

/**
 * Makes events of the instants of alarms. An instant enters the journal under a key of its own, so that dealing with it
 * again changes nothing; where several might ring it, it is claimed before. How far each alarm has come is kept on disk:
 * after a restart that tells what was missed.
 */
export class RingAlarms {
  readonly #parts: RingAlarmsParts;
  #wanted: readonly AlarmRegistration[] = [];
  #alarms = new Map<string, AlarmState>();
  /** What was kept from before the start. */
  #marks: ReadonlyMap<string, AlarmMark> = new Map();
  #isNewSite = true;
  readonly #agenda = new Agenda<AlarmState>();
  /** Those whose end is not told yet. */
  readonly #ended = new Set<AlarmState>();
  /** Claims whose instants may not be in the journal. */
  readonly #inDoubt = new Map<string, AlarmClaim>();
  readonly #underWay = new Set<Promise<void>>();
  #ringing = 0;
  readonly #stopping = new AbortController();
  #sleeping = new AbortController();
  #isStarted = false;
  #running: Promise<void> = Promise.resolve();
  /** By the monotonic clock, in ms. */
  #centerAwayUntil = 0;
  #finishAt = 0;
  #saveAt = 0;
  #forgetAt: number;
  #clockOffset: number;
  #isUnsaved = false;
  #saving: Promise<void> = Promise.resolve();
  #nextSave: Promise<void> | undefined;

  constructor(parts: RingAlarmsParts) {
    this.#parts = parts;
    const { clock } = parts;
    this.#clockOffset = this.#now() - clock.elapsed();
    this.#forgetAt = clock.elapsed() + FORGET_CLAIMS_EVERY_MS * clock.random();
  }

  /** Reads how far the site has come, and rings from then on. */
  async start(): Promise<void> {
    const kept = await this.#parts.progress.load();
    if (kept) {
      this.#isNewSite = false;
      this.#marks = new Map(Object.entries(kept.alarms));
      for (const claim of kept.inDoubt) this.#inDoubt.set(keyOf(claim), claim);
    }
    this.#isStarted = true;
    this.apply(this.#wanted);
    this.#running = this.#run();
    this.#track(this.#save()); // a full disk must not keep the site from starting
  }

  /**
   * Replaces the alarms; those that stay the same go on. How far others had come is forgotten, so the first call names all
   * alarms that are known at the start.
   */
  apply(registrations: readonly AlarmRegistration[]): void {
    this.#wanted = registrations;
    if (!this.#isStarted) return;
    const before = this.#alarms;
    this.#alarms = new Map(
      registrations.map((registration) => {
        const { name } = registration;
        const known = before.get(name);
        if (known && JSON.stringify(known.registration) === JSON.stringify(registration)) return [name, known];
        const mark = known?.mark ?? this.#marks.get(name);
        return [name, alarmState(registration, mark, this.#now(), this.#isNewSite)];
      }),
    );
    this.#marks = new Map();
    this.#isNewSite = false;
    this.#planAll();
    this.#isUnsaved = true;
    this.#wake();
  }

  /**
   * Rings no more. Resolves when what is under way is done and kept; what the center has not answered by the deadline stays
   * in doubt.
   */
  async stop(deadlineMs = 2_000): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#running;
    const done = new AbortController();
    const deadline = this.#parts.clock.sleep(deadlineMs, done.signal);
    await Promise.race([Promise.all(this.#underWay), deadline]);
    done.abort();
    await this.#save().catch((error: unknown) => {
      this.#parts.log.warn(
        { err: error },
        'the books of the alarms could not be kept; the next start rings by older ones',
      );
    });
  }

  status(): AlarmStatus[] {
    return [...this.#alarms.values()].map(statusOf);
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#stopping.signal.aborted) {
      this.#noticeClockStep();
      const now = this.#now();
      while (this.#ringing < MAX_RINGING && this.#agenda.nextDue <= now) {
        this.#track(this.#ring(this.#agenda.takeNext()!));
      }
      const elapsed = clock.elapsed();
      if (this.#isUnsaved && elapsed >= this.#saveAt) {
        this.#saveAt = elapsed + SAVE_EVERY_MS;
        this.#track(this.#save());
      }
      if (this.#inDoubt.size + this.#ended.size > 0 && elapsed >= this.#finishAt) {
        this.#finishAt = Number.POSITIVE_INFINITY;
        this.#track(this.#finish());
      }
      if (elapsed >= this.#forgetAt) {
        this.#forgetAt = elapsed + FORGET_CLAIMS_EVERY_MS * (0.5 + clock.random());
        this.#track(this.#forgetClaims());
      }
      const sleepMs =
        this.#ringing < MAX_RINGING ? Math.min(TICK_MS, Math.max(0, this.#agenda.nextDue - now)) : TICK_MS;
      this.#sleeping = new AbortController();
      await clock.sleep(sleepMs, this.#sleeping.signal);
    }
  }

  /** Deals with the instants of an alarm that are due, one after the other. */
  async #ring(state: AlarmState): Promise<void> {
    const { alarm, mark, registration, timetable } = state;
    state.isRinging = true;
    this.#ringing += 1;
    let isDone = false;
    try {
      const now = this.#now() - state.jitterMs;
      const { ring, missed } = dueInstants(timetable, alarm, mark.upTo, now);
      state.missed += missed;
      mark.upTo = Math.max(mark.upTo, (ring[0] ?? now) - 1);
      isDone = await this.#ringInstants(state, ring);
    } catch (error) {
      this.#parts.log.error({ err: error, alarm: registration.name }, 'an alarm could not ring; it is tried again');
    } finally {
      state.isRinging = false;
      this.#ringing -= 1;
      this.#isUnsaved = true;
      if (this.#alarms.get(registration.name) === state && this.#findDue(state)) {
        if (!isDone) state.due = this.#now() + this.#retryMs();
        this.#agenda.add(state);
      }
    }
  }

  /** Whether all are dealt with. */
  async #ringInstants(state: AlarmState, instants: readonly number[]): Promise<boolean> {
    const { alarm, mark } = state;
    for (const instant of instants) {
      if (hasRungEnough(alarm, mark)) return true;
      if (this.#stopping.signal.aborted) return false;
      const outcome = await this.#ringInstant(state, instant);
      state.waitsForCenter = outcome === 'waits';
      if (outcome === 'waits') return false;
      // Its registration may have been changed meanwhile, and the instant dealt with there.
      if (instant <= mark.upTo) continue;
      mark.upTo = instant;
      if (outcome !== 'skipped') mark.rung += 1;
      if (outcome === 'skipped') state.skipped += 1;
      if (outcome === 'rungElsewhere') state.rungElsewhere += 1;
      if (outcome === 'rung') state.lastRung = instant;
    }
    return true;
  }

  async #ringInstant(state: AlarmState, instant: number): Promise<'rung' | 'rungElsewhere' | 'skipped' | 'waits'> {
    const { intake, claims, clock, hasReplicas } = this.#parts;
    const { alarm, registration } = state;
    if (alarm.overlap === 'skip' && intake.pending(registration.name) > 0) return 'skipped';
    if (alarm.scope === 'site' && !hasReplicas) {
      await intake.accept(eventOf(state, instant));
      return 'rung';
    }
    const away = alarm.scope === 'all' && alarm.whenCenterAway === 'skip' ? 'skipped' : 'waits';
    if (clock.elapsed() < this.#centerAwayUntil) return away;
    const claim: AlarmClaim = { alarm: registration.name, instant, scope: alarm.scope };
    // Kept before the claim is made: whoever dies after it finds here what to complete.
    this.#inDoubt.set(keyOf(claim), claim);
    await this.#save();
    const verdict = await claims.take(claim);
    if (verdict === 'centerAway') {
      this.#centerAwayUntil = clock.elapsed() + RETRY_MS;
      return away; // and stays in doubt
    }
    if (verdict === 'won') await intake.accept(eventOf(state, instant));
    this.#inDoubt.delete(keyOf(claim));
    return verdict === 'won' ? 'rung' : 'rungElsewhere';
  }

  /** Does what may have been left undone by a crash or an absence: claims in doubt, ends to be told. */
  async #finish(): Promise<void> {
    const { clock } = this.#parts;
    let isDone = false;
    try {
      await this.#settleDoubts();
      await this.#tellEnds();
      isDone = true;
    } finally {
      this.#finishAt = clock.elapsed() + (isDone ? TICK_MS : this.#retryMs());
    }
  }

  async #settleDoubts(): Promise<void> {
    const { claims, clock, intake, log } = this.#parts;
    if (clock.elapsed() < this.#centerAwayUntil) return;
    for (const [key, claim] of this.#inDoubt) {
      const state = this.#alarms.get(claim.alarm);
      if (state?.isRinging) continue;
      const isOurs = state ? await claims.isOurs(claim) : false;
      if (isOurs === 'centerAway') {
        this.#centerAwayUntil = clock.elapsed() + RETRY_MS;
        return;
      }
      if (state && isOurs && (await intake.accept(eventOf(state, claim.instant)))) {
        log.info({ alarm: claim.alarm, instant: iso(claim.instant) }, 'an instant rings now that was claimed before');
      }
      this.#inDoubt.delete(key);
      this.#isUnsaved = true;
    }
  }

  async #tellEnds(): Promise<void> {
    const { intake, onEnded } = this.#parts;
    for (const state of this.#ended) {
      const { registration, mark } = state;
      const { message, remove } = mark.ended!;
      if (remove !== 'nothing' && intake.pending(registration.name) > 0) continue;
      await onEnded(registration, { message, remove });
      mark.ended!.told = true;
      this.#ended.delete(state);
      this.#isUnsaved = true;
    }
  }

  async #forgetClaims(): Promise<void> {
    const { claims, hasReplicas } = this.#parts;
    if (!hasReplicas && ![...this.#alarms.values()].some(({ alarm }) => alarm.scope === 'all')) return;
    while (!this.#stopping.signal.aborted && (await claims.forget(this.#now() - KEEP_CLAIMS_MS)) > 0);
  }

  #planAll(): void {
    this.#ended.clear();
    this.#agenda.replace([...this.#alarms.values()].filter((state) => !state.isRinging && this.#findDue(state)));
  }

  /** Finds when an alarm is due next, if it rings; notes that one has ended. */
  #findDue(state: AlarmState): boolean {
    const { mark, registration } = state;
    const due = nextDue(state);
    if (due !== undefined) {
      state.due = due;
      return registration.held === undefined;
    }
    mark.ended ??= endOf(state);
    if (!mark.ended.told) this.#ended.add(state);
    return false;
  }

  #noticeClockStep(): void {
    const now = this.#now();
    const offset = now - this.#parts.clock.elapsed();
    const stepMs = Math.round(offset - this.#clockOffset);
    this.#clockOffset = offset;
    if (Math.abs(stepMs) < CLOCK_STEP_MS) return;
    this.#parts.log.warn(
      { stepMs },
      'the clock was set: instants that it went over are late, those that it repeats have rung',
    );
    for (const { mark } of this.#alarms.values()) {
      if (mark.upTo > now + WRONG_CLOCK_MS) mark.upTo = now;
    }
    this.#planAll();
  }

  /** Resolves when a write that began after the call is durable; calls while one is under way share the next. */
  #save(): Promise<void> {
    this.#nextSave ??= this.#saving
      .catch(() => undefined)
      .then(() => {
        this.#nextSave = undefined;
        this.#isUnsaved = false;
        const alarms = Object.fromEntries([...this.#alarms].map(([name, { mark }]) => [name, mark]));
        this.#saving = this.#parts.progress.save({ alarms, inDoubt: [...this.#inDoubt.values()] });
        return this.#saving;
      });
    return this.#nextSave;
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        this.#isUnsaved = true;
        this.#parts.log.warn({ err: error }, 'the books of the alarms could not be kept; it is tried again');
      })
      .finally(() => {
        this.#underWay.delete(tracked);
        this.#wake();
      });
    this.#underWay.add(tracked);
  }

  #wake(): void {
    this.#sleeping.abort();
  }

  #retryMs(): number {
    return RETRY_MS * (1 + this.#parts.clock.random());
  }

  /** ms since 1970 */
  #now(): number {
    return Number(this.#parts.clock.now() / 1_000_000n);
  }
}

function keyOf({ alarm, instant }: AlarmClaim): string {
  return `${alarm} ${instant}`;
}
