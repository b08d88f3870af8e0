import { type Clock, systemClock } from '../../telemetry/clock.ts';

/** What of a stream a display needs; process.stdout is one. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Where a display shows things: this process's, unless a test brings others. */
export interface Surroundings {
  readonly out: Output;
  readonly err: Output;
  readonly clock: Clock;
}

const ours: Surroundings = { out: process.stdout, err: process.stderr, clock: systemClock };
const redrawEvery = 100;
const eraseLine = '\r\x1b[K';

/**
 * Shows how work goes on: on a terminal one line that changes, with what must be said above it; elsewhere plain lines, among them
 * those about each step.
 */
export class Display {
  readonly #out: Output;
  readonly #err: Output;
  readonly #clock: Clock;
  readonly #status: () => string;
  #cancel: (() => void) | undefined;

  /** @param status the changing line */
  constructor(status: () => string, { out, err, clock }: Surroundings = ours) {
    this.#out = out;
    this.#err = err;
    this.#clock = clock;
    this.#status = status;
  }

  /** Begins to show the changing line. */
  start(): void {
    if (this.#out.isTTY) this.#redraw();
  }

  /** A line about a step, which the changing line tells on a terminal. */
  step(line: string): void {
    if (!this.#out.isTTY) this.#out.write(`${line}\n`);
  }

  /** A line of what has come out. */
  say(line: string): void {
    this.#above(this.#out, line);
  }

  /** A line of what went wrong. */
  complain(line: string): void {
    this.#above(this.#err, line);
  }

  /** Takes the changing line away. */
  end(): void {
    if (this.#cancel === undefined) return;
    this.#cancel();
    this.#cancel = undefined;
    this.#out.write(eraseLine);
  }

  #redraw(): void {
    this.#out.write(`${eraseLine}${this.#line()}`);
    this.#cancel = this.#clock.after(redrawEvery, () => this.#redraw());
  }

  #above(where: Output, line: string): void {
    if (this.#cancel !== undefined) this.#out.write(eraseLine);
    where.write(`${line}\n`);
    if (this.#cancel !== undefined) this.#out.write(this.#line());
  }

  /** A line that is wider than the terminal could not be erased. */
  #line(): string {
    return this.#status().slice(0, (this.#out.columns ?? 80) - 1);
  }
}

/**
 * Takes the changing line away before SIGINT or SIGTERM end the process, with 130 and 143: for work that may be cut off at any
 * instant.
 */
export function endNeatly(display: Display): void {
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      display.end();
      process.exit(exitCode);
    });
  }
}

/** `[######----]`, that much of it done; both in the same unit. */
export function bar(done: number, total: number, width = 20): string {
  const full = total === 0 ? 0 : Math.min(width, Math.floor((done / total) * width));
  return `[${'#'.repeat(full)}${'-'.repeat(width - full)}]`;
}
