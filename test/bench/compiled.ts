import { join } from 'node:path';
import { mustRun } from '../e2e/harness/run-command.ts';

const repository = join(import.meta.dirname, '../..');
const output = join(repository, '.cache/bench/compiled');

/** The program as the sources have it: what `npm start` runs. */
export const fromSources: string = join(repository, 'agent/main.ts');

/** Compiles the program as for the package, which is what people run. Resolves to its entry. */
export async function compiled(): Promise<string> {
  const tsc = join(repository, 'node_modules/.bin/tsc');
  await mustRun([tsc, '-p', join(repository, 'tsconfig.build.json'), '--outDir', output]);
  return join(output, 'agent/main.js');
}
