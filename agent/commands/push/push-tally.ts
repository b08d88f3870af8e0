import type { PathInfo } from '../../push/path-info.ts';
import type { Plan } from '../../push/plan.ts';
import type { Clock } from '../../telemetry/clock.ts';
import { counted, readableBytes, readableTime } from '../terminal/amounts.ts';
import { bar } from '../terminal/display.ts';
import { Pace } from '../terminal/pace.ts';

/** What is to be pushed, what is there, how fast it goes. */
export class PushTally {
  readonly #clock: Clock;
  readonly #began: number;
  /** Bytes of NARs, by which the rest is guessed. */
  readonly #progress: Pace;
  /** Bytes on the network. */
  readonly #link: Pace;
  /** How many bytes of its NAR each path has behind it. */
  readonly #reached = new Map<string, number>();
  #plan: Plan = { paths: 0, missing: [] };
  #wanted = 0;
  #done = 0;
  #pushed = 0;
  #failures = 0;
  #sent = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = clock.now();
    this.#progress = new Pace(clock);
    this.#link = new Pace(clock);
  }

  get failures(): number {
    return this.#failures;
  }

  /** Bytes of packed NARs that were handed to the network. */
  get bytes(): number {
    return this.#sent;
  }

  /** Ms since the beginning. */
  get elapsed(): number {
    return this.#clock.now() - this.#began;
  }

  planned(plan: Plan): void {
    this.#plan = plan;
    this.#wanted = plan.missing.reduce((sum, { narSize }) => sum + narSize, 0);
  }

  reached({ storePath, narSize }: PathInfo, part: number): void {
    const now = part * narSize;
    const more = now - (this.#reached.get(storePath.base) ?? 0);
    this.#reached.set(storePath.base, now);
    this.#done += more;
    this.#progress.add(more);
  }

  sent(bytes: number): void {
    this.#sent += bytes;
    this.#link.add(bytes);
  }

  pushed(): void {
    this.#pushed += 1;
  }

  failed(): void {
    this.#failures += 1;
  }

  /** How it is now, such as `[####----] 12/70 paths, 34 MiB/120 MiB, 1.1 MiB/s, 1:18 left`. */
  line(): string {
    const { paths, missing } = this.#plan;
    const left = this.#progress.timeFor(this.#wanted - this.#done);
    const speed = `${readableBytes(this.#link.perSecond)}/s`;
    const parts = [
      `${paths - missing.length + this.#pushed}/${paths} paths`,
      `${readableBytes(this.#done)}/${readableBytes(this.#wanted)}`,
      ...(left === undefined ? [] : [speed, `${readableTime(left)} left`]),
    ];
    return `${bar(this.#done, this.#wanted)} ${parts.join(', ')}`;
  }

  /** How it was in the end, such as `12 paths pushed (34 MiB in 1:52), 58 there before, 0 failed`. */
  summary(): string {
    const { paths, missing } = this.#plan;
    const pushed = `${counted(this.#pushed, 'path')} pushed (${readableBytes(this.#sent)} in ${readableTime(this.elapsed)})`;
    return `${pushed}, ${paths - missing.length} there before, ${this.#failures} failed`;
  }
}
