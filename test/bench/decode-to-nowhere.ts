import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';

/** Runs a decoder with its output to /dev/null; resolves to the seconds that it took. */
export async function decodeToNowhere([program = '', ...args]: readonly string[]): Promise<number> {
  const started = performance.now();
  const child = spawn(program, args, { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}.`);
  return (performance.now() - started) / 1_000;
}
