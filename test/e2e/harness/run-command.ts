import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';

/** What a finished command left behind; `ms` is its wall-clock time. */
export interface Outcome {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** True when the command did not end by itself within its `timeoutMs`. */
  readonly timedOut: boolean;
}

export interface RunOptions {
  /** The whole environment; nothing is inherited unless it is left out. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** How long the command may run before it gets SIGTERM, and SIGKILL 3 s later. Two minutes by default. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end without a shell and without input. A command that fails is an outcome, not an error. */
export async function runCommand(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { env, cwd, timeoutMs = 120_000 } = options;
  const [file = '', ...args] = argv;
  const started = performance.now();
  const child = spawn(file, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });

  let timedOut = false;
  let killTimer: NodeJS.Timeout | undefined;
  const termTimer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGTERM');
    killTimer = setTimeout(() => {
      child.kill('SIGKILL');
      // A grandchild that outlives it would hold the pipes open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, 3_000);
  }, timeoutMs);

  const output = Promise.all([text(child.stdout).catch(() => ''), text(child.stderr).catch(() => '')]);
  try {
    const [code] = await once(child, 'exit');
    const [stdout, stderr] = await output;
    return { code, stdout, stderr, ms: performance.now() - started, timedOut };
  } finally {
    clearTimeout(termTimer);
    clearTimeout(killTimer);
  }
}

/** Like {@link runCommand}, and throws an Error with the command and its stderr unless the exit code is 0. */
export async function mustRun(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const outcome = await runCommand(argv, options);
  if (outcome.code !== 0) {
    throw new Error(`${argv.join(' ')} ended with ${outcome.code ?? 'a signal'}:\n${outcome.stderr}`);
  }
  return outcome;
}
