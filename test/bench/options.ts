import { parseArgs } from 'node:util';

/** What `npm run bench -- …` was asked for. */
export interface BenchOptions {
  /** Where the report goes as JSON. */
  readonly json: string | undefined;
  /** The one measure to take; undefined for all. */
  readonly only: string | undefined;
  /** Less of everything: for CI and for trying things out. */
  readonly short: boolean;
  /** Writes docs/benchmarks.md. */
  readonly writeDocs: boolean;
}

/** @throws TypeError for an unknown option */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      json: { type: 'string' },
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
    },
  });
  return { json: values.json, only: values.only, short: values.short, writeDocs: values['write-docs'] };
}
