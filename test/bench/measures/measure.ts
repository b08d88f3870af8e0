import type { Section } from '../report.ts';

/** One of the things that the benchmark measures. */
export interface Measure {
  /** For `--only`. */
  readonly name: string;
  take(size: Size): Promise<Section>;
}

export interface Size {
  /** Less of everything. */
  readonly short: boolean;
  /** How often each contestant has its turn. */
  readonly rounds: number;
  /** URLs of other relays to compare with. */
  readonly against: readonly string[];
}
