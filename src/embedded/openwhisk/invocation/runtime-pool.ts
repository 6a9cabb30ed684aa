import { freemem } from 'node:os';
import type { Reaper } from './reaper.ts';
import { RuntimeProcess, type RuntimeProgram } from './runtime-process.ts';

/** What a job needs: a process that holds this action's code, or a new one to put it in. */
export interface RuntimeNeed {
  /** Action, revision and invoking namespace: processes are never shared beyond these. */
  readonly key: string;
  readonly program: RuntimeProgram;
  /** How many activations may be in one process at once. */
  readonly concurrency: number;
}

/** A place in a process for one activation; given back by {@link RuntimePool.release}. */
export interface Lease {
  readonly process: RuntimeProcess;
  /** Whether the process holds the action's code already. */
  readonly warm: boolean;
}

interface Member {
  readonly key: string;
  readonly process: RuntimeProcess;
  readonly slots: number;
  used: number;
  ready: boolean;
  idle: NodeJS.Timeout | undefined;
  idleSince: number;
}

interface Waiter {
  readonly need: RuntimeNeed;
  readonly since: number;
  readonly resolve: (lease: Lease | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** How long a process without work is kept. */
const IDLE_MS = 60_000;

/** How long a job waits for a busy process of its action before another one is started: short jobs need no second process. */
const SCALE_OUT_AFTER_MS = 50;

/** A process is started ahead of need only while the machine has this much memory to spare. */
const PREWARM_FREE_BYTES = 256 * 1024 * 1024;

/** The runtime processes of this host: warm ones are reused per action, idle ones end, and their number is bounded. */
export class RuntimePool {
  readonly #members = new Set<Member>();
  /** Those who wait, by key, first come first. */
  readonly #queues = new Map<string, Waiter[]>();
  #scaleOut: NodeJS.Timeout | undefined;
  readonly #maxProcesses: number;
  readonly #prewarm: RuntimeProgram | undefined;
  readonly #start: (program: RuntimeProgram, slots: number) => RuntimeProcess;
  #stemCell: RuntimeProcess | undefined;
  #closed = false;

  /** @param prewarm the program of which one process is kept ready for the next new action */
  constructor(options: {
    readonly folder: string;
    readonly apiHost: string;
    readonly caFile: string | undefined;
    readonly reaper: Reaper;
    readonly maxProcesses: number;
    readonly prewarm: RuntimeProgram | undefined;
  }) {
    this.#maxProcesses = options.maxProcesses;
    this.#prewarm = options.prewarm;
    const { folder, apiHost, caFile, reaper } = options;
    this.#start = (program, slots) => new RuntimeProcess(program, { folder, apiHost, caFile, reaper, slots });
  }

  /** A place for one activation, as soon as there is one; undefined when the pool is closed meanwhile. */
  acquire(need: RuntimeNeed): Promise<Lease | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const lease = this.#lease(need);
    if (lease) return Promise.resolve(lease);
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(need.key) ?? [];
      queue.push({ need, since: performance.now(), resolve, reject });
      this.#queues.set(need.key, queue);
      this.#scaleOut ??= setInterval(() => this.#serve(), SCALE_OUT_AFTER_MS);
    });
  }

  /** The lease's process now holds its action's code: its other places can be used. */
  initialized(lease: Lease): void {
    const member = this.#member(lease.process);
    if (!member) return;
    member.ready = true;
    this.#serve();
  }

  /** Gives a place back; a process that is not to be trusted any more is ended. */
  release(lease: Lease, { keep }: { keep: boolean }): void {
    const member = this.#member(lease.process);
    if (!member) return;
    member.used--;
    if (!keep || !member.process.alive) this.#remove(member);
    else if (member.used === 0) {
      member.idleSince = performance.now();
      member.idle = setTimeout(() => this.#remove(member), IDLE_MS);
      member.idle.unref();
    }
    this.#serve();
  }

  /** Starts the process that is kept ready, if the machine has room. */
  prewarm(): void {
    if (this.#closed || this.#stemCell || !this.#prewarm || freemem() < PREWARM_FREE_BYTES) return;
    const process = this.#start(this.#prewarm, 1);
    this.#stemCell = process;
    void process.exited.then(() => {
      if (this.#stemCell === process) this.#stemCell = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#scaleOut);
    for (const queue of this.#queues.values()) for (const waiter of queue) waiter.resolve(undefined);
    this.#queues.clear();
    const processes = [...this.#members].map((member) => member.process);
    if (this.#stemCell) processes.push(this.#stemCell);
    for (const member of this.#members) clearTimeout(member.idle);
    await Promise.all(processes.map((process) => process.kill()));
  }

  #member(process: RuntimeProcess): Member | undefined {
    for (const member of this.#members) if (member.process === process) return member;
    return undefined;
  }

  /** A place in a warm process, or a process of its own if the action has none yet (or `scaleOut` says that it needs more). */
  #lease(need: RuntimeNeed, scaleOut = false): Lease | undefined {
    let known = false;
    let starting = false;
    for (const member of this.#members) {
      if (member.key !== need.key) continue;
      if (!member.process.alive) {
        this.#remove(member);
        continue;
      }
      known = true;
      starting ||= !member.ready;
      if (!member.ready || member.used >= member.slots) continue;
      clearTimeout(member.idle);
      member.used++;
      return { process: member.process, warm: true };
    }
    if (known && (starting || !scaleOut)) return undefined;
    if (this.#members.size >= this.#maxProcesses && !this.#evict()) return undefined;
    const process = this.#take(need);
    this.#members.add({
      key: need.key,
      process,
      slots: need.concurrency,
      used: 1,
      ready: false,
      idle: undefined,
      idleSince: 0,
    });
    return { process, warm: false };
  }

  #take(need: RuntimeNeed): RuntimeProcess {
    if (this.#stemCell?.alive && need.program === this.#prewarm && need.concurrency === 1) {
      const process = this.#stemCell;
      this.#stemCell = undefined;
      setTimeout(() => this.prewarm(), 1_000).unref();
      return process;
    }
    return this.#start(need.program, need.concurrency);
  }

  /** Ends the process that has been idle longest. */
  #evict(): boolean {
    let oldest: Member | undefined;
    for (const member of this.#members) {
      if (member.used === 0 && (!oldest || member.idleSince < oldest.idleSince)) oldest = member;
    }
    if (oldest) this.#remove(oldest);
    return oldest !== undefined;
  }

  #remove(member: Member): void {
    clearTimeout(member.idle);
    this.#members.delete(member);
    void member.process.kill();
  }

  /** Gives places to those who wait. */
  #serve(): void {
    for (const [key, queue] of this.#queues) {
      while (queue.length > 0 && this.#serveFirst(queue)) queue.shift();
      if (queue.length === 0) this.#queues.delete(key);
    }
    if (this.#queues.size > 0) return;
    clearInterval(this.#scaleOut);
    this.#scaleOut = undefined;
  }

  /** Whether the first of a queue needs to wait no longer. */
  #serveFirst([waiter]: readonly Waiter[]): boolean {
    const { need, since, resolve, reject } = waiter!;
    try {
      const lease = this.#lease(need, performance.now() - since >= SCALE_OUT_AFTER_MS);
      if (!lease) return false;
      resolve(lease);
    } catch (error) {
      // No process can be started (no room for its folder, too many open files): that job fails, the next may not.
      reject(error);
    }
    return true;
  }
}
