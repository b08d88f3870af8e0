import type { Narinfo } from '../../nix/narinfo.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { counted, readableBytes, readableTime } from '../terminal/amounts.ts';
import { bar } from '../terminal/display.ts';
import { Pace } from '../terminal/pace.ts';

/** What is wanted, what is there, how fast it comes. Bytes are those of NARs, which are more than what crosses the link. */
export class Tally {
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #began: number;
  #kept = 0;
  #fetched = 0;
  #failures = 0;
  #wanted = 0;
  #there = 0;
  #came = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#pace = new Pace(clock);
    this.#began = clock.now();
  }

  get failures(): number {
    return this.#failures;
  }

  /** A path can be had. */
  found({ narSize }: Narinfo): void {
    this.#wanted += narSize;
  }

  /** Bytes of a NAR came; fewer than none when they turned out to be of no use. */
  came(bytes: number): void {
    this.#came += bytes;
    this.#pace.add(bytes);
  }

  /** A path is in the cache; `fetched` is false when it was there before. */
  kept({ narSize }: Narinfo, fetched: boolean): void {
    this.#kept += 1;
    if (fetched) this.#fetched += 1;
    else this.#there += narSize;
  }

  failed(): void {
    this.#failures += 1;
  }

  /** How it is now, such as `[####----] 12/70 paths, 34 MiB/120 MiB, 1.1 MiB/s, 1:18 left`. */
  line(paths: number): string {
    const done = this.#there + this.#came;
    const left = this.#pace.timeFor(this.#wanted - done);
    const speed = `${readableBytes(this.#pace.perSecond)}/s`;
    const parts = [
      `${this.#kept}/${paths} paths`,
      `${readableBytes(done)}/${readableBytes(this.#wanted)}`,
      ...(left === undefined ? [] : [speed, `${readableTime(left)} left`]),
    ];
    return `${bar(done, this.#wanted)} ${parts.join(', ')}`;
  }

  /** How it was in the end, such as `70 paths fetched (120 MiB in 1:52), 0 there before, 0 failed`. */
  summary(): string {
    const took = readableTime(this.#clock.now() - this.#began);
    const fetched = `${counted(this.#fetched, 'path')} fetched (${readableBytes(this.#came)} in ${took})`;
    return `${fetched}, ${this.#kept - this.#fetched} there before, ${this.#failures} failed`;
  }
}
