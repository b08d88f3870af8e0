import { execFile } from 'node:child_process';

/** How a program ended, and what it said. */
export interface Ran {
  /** Exit code; null when it was ended by a signal or its time was up. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program without a shell; undefined where it is not installed. */
export type RunProgram = (argv: readonly string[], env?: NodeJS.ProcessEnv) => Promise<Ran | undefined>;

const patience = 10_000;
const maxBytes = 16 * 1024 * 1024;

/** Runs a program of this machine for at most ten seconds. */
export const runProgram: RunProgram = ([file = '', ...args], env = process.env) =>
  new Promise((resolve) => {
    const options = { env, timeout: patience, maxBuffer: maxBytes };
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error !== null && (error.code === 'ENOENT' || error.code === 'EACCES')) resolve(undefined);
      else resolve({ code: codeOf(error), stdout, stderr });
    });
  });

function codeOf(error: { readonly code?: unknown } | null): number | null {
  if (error === null) return 0;
  return typeof error.code === 'number' ? error.code : null;
}
