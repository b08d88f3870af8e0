import type { Clock } from '../telemetry/clock.ts';
import { CacheError, systemCode } from './error.ts';
import type { CacheLog } from './log.ts';

/**
 * Whether the directory takes writes: `ok`; `full` (no space, quota used up, or the cache's own limits reached); `read-only` (so
 * mounted, or not permitted); `locked` (another process has the directory); `failing` (anything else, such as I/O errors).
 */
export type DiskCondition = 'ok' | 'full' | 'read-only' | 'locked' | 'failing';

const firstRetry = 5_000;
const lastRetry = 60_000;

/** Remembers that the disk refused a write, and finds out by trying, ever less often, when it takes them again. */
export class DiskState {
  readonly #clock: Clock;
  readonly #probe: () => Promise<void>;
  readonly #log: CacheLog;
  #condition: DiskCondition = 'ok';
  #message: string | undefined;
  #refusals = 0;
  #wait = firstRetry;
  #cancel: (() => void) | undefined;
  #trying: Promise<void> | undefined;
  #closed = false;

  /** @param probe rejects while the disk does not take writes */
  constructor(clock: Clock, probe: () => Promise<void>, log: CacheLog) {
    this.#clock = clock;
    this.#probe = probe;
    this.#log = log;
  }

  get condition(): DiskCondition {
    return this.#condition;
  }

  /** What the disk said when it last refused a write; undefined while all is well. */
  get message(): string | undefined {
    return this.#message;
  }

  get writable(): boolean {
    return this.#condition === 'ok';
  }

  /** How many writes were refused since the start. */
  get refusals(): number {
    return this.#refusals;
  }

  /** A write was refused. */
  refused(error: unknown): void {
    this.#refusals += 1;
    this.#note(error);
    if (!this.#closed && this.#cancel === undefined) this.#retryLater();
  }

  /** Tries no more; resolves when a try that is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#trying;
  }

  #note(error: unknown): void {
    const condition = conditionOf(error);
    this.#message = error instanceof Error ? error.message : String(error);
    if (condition === this.#condition) return;
    this.#condition = condition;
    this.#log.warn(
      { err: error, condition },
      'the cache directory takes no writes: relaying without storing',
    );
  }

  #retryLater(): void {
    this.#cancel = this.#clock.after(this.#wait, () => {
      this.#wait = Math.min(this.#wait * 2, lastRetry);
      this.#trying = this.#try();
    });
  }

  async #try(): Promise<void> {
    try {
      await this.#probe();
      this.#recovered();
    } catch (error) {
      this.#note(error);
      if (!this.#closed) this.#retryLater();
    }
  }

  #recovered(): void {
    this.#cancel = undefined;
    this.#wait = firstRetry;
    this.#condition = 'ok';
    this.#message = undefined;
    this.#log.info({}, 'the cache directory takes writes again');
  }
}

function conditionOf(error: unknown): DiskCondition {
  if (error instanceof CacheError && error.code === 'cache-full') return 'full';
  if (error instanceof CacheError && error.code === 'cache-locked') return 'locked';
  switch (systemCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'full';
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return 'read-only';
    default:
      return 'failing';
  }
}
