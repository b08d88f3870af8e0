import type { HashPart } from '../nix/store-path.ts';
import { SourceError } from '../source/error.ts';
import type { MonitoredSource } from '../source/monitored-source.ts';
import type { Counters, Giver } from '../telemetry/counters.ts';
import type { Offer } from './known-path.ts';

/** A source as the counters know it. */
export function giverOf({ id, source }: MonitoredSource): Giver {
  return { id, origin: source.reach };
}

/** Counts what sources answer to questions for narinfos. */
export class Answers {
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  asked(source: MonitoredSource): void {
    this.#counters.narinfosOf(giverOf(source)).asked += 1;
  }

  /** Its narinfo is true, as far as anybody can tell. */
  found(source: MonitoredSource): void {
    this.#counters.narinfosOf(giverOf(source)).found += 1;
  }

  absent(source: MonitoredSource): void {
    this.#counters.narinfosOf(giverOf(source)).absent += 1;
  }

  /** Its narinfo is not to be believed. */
  rejected({ source, narinfo }: Offer, reason: string): void {
    const path = narinfo.storePath.base;
    this.#counters.rejected({ kind: 'narinfo', path, giver: giverOf(source), reason });
  }

  /** No narinfo came, or what came cannot be one of that path. */
  failed(source: MonitoredSource, hashPart: HashPart, error: unknown): void {
    const giver = giverOf(source);
    if (error instanceof SourceError && error.fault === 'wrong')
      this.#counters.rejected({ kind: 'narinfo', path: hashPart, giver, reason: error.message });
    else this.#counters.narinfosOf(giver).failed += 1;
  }
}
