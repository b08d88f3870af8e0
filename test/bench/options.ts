import { parseArgs } from 'node:util';

/** What `npm run bench -- …` was asked for. */
export interface BenchOptions {
  /** Where the report goes as JSON. */
  readonly json: string | undefined;
  /** The one measure to take; undefined for all. */
  readonly only: string | undefined;
  /** Less of everything: for CI and for trying things out. */
  readonly short: boolean;
  /** How often each contestant has its turn. */
  readonly rounds: number;
  /** Writes docs/benchmarks.md. */
  readonly writeDocs: boolean;
  /** URLs of other relays to compare with, beside those that the benchmark starts itself. */
  readonly against: readonly string[];
}

/** Contestants that need no URL: they are in every run. */
const always: ReadonlySet<string> = new Set(['direct', 'nginx-proxy']);

/** @throws TypeError for an unknown option, RangeError for a number of rounds that is none */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      json: { type: 'string' },
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      against: { type: 'string' },
      'write-docs': { type: 'boolean', default: false },
    },
  });
  const { json, only, short, against = '', 'write-docs': writeDocs } = values;
  const rounds = Number(values.rounds ?? (short ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds ${values.rounds}: it must be a whole number from 1 on`);
  return {
    json,
    only,
    short,
    rounds,
    writeDocs,
    against: against.split(',').filter((name) => name !== '' && !always.has(name)),
  };
}
