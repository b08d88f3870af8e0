import type { Machine } from './machine.ts';

/** One figure in each round, in the order of the rounds. */
export type Samples = readonly number[];

/** What the relay was measured beside, in the same rounds. */
export interface Beside {
  readonly name: string;
  readonly samples: Samples;
}

/** What the figure should be: at most or at least `value`, as a ratio to `beside` or in the row's unit where that is left out. */
export interface Aim {
  readonly beside?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** What was tried to reach it, or why it is out of reach: a sentence or more, shown where it is missed. */
  readonly tried?: string;
}

/** One figure of the relay's, and the same figure of others. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly relay: Samples;
  readonly beside: readonly Beside[];
  readonly aim?: Aim;
}

/** What one measure found. */
export interface Section {
  readonly name: string;
  /** How it was measured, in a sentence or two. */
  readonly method: string;
  readonly rows: readonly Row[];
}

/** Everything that one run found; what `--json` writes. */
export interface Report {
  readonly machine: Machine;
  /** Less of everything was measured. */
  readonly short: boolean;
  readonly rounds: number;
  readonly sections: readonly Section[];
}

/** The middle one, or the mean of the middle two. */
export function median(samples: Samples): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1);
  return middle.reduce((sum, sample) => sum + sample, 0) / middle.length;
}

/** The median of the rounds' ratios: what disturbs a whole round disturbs both. */
export function ratio(relay: Samples, beside: Samples): number {
  return median(relay.map((sample, round) => sample / (beside[round] ?? Number.NaN)));
}

/** Whether a row is what it should be; undefined when nothing is asked of it. */
export function reached({ aim, relay, beside }: Row): boolean | undefined {
  if (aim === undefined) return undefined;
  const other = beside.find(({ name }) => name === aim.beside);
  const figure = other === undefined ? median(relay) : ratio(relay, other.samples);
  return (
    figure >= (aim.atLeast ?? Number.NEGATIVE_INFINITY) && figure <= (aim.atMost ?? Number.POSITIVE_INFINITY)
  );
}
