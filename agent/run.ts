import { CommanderError } from 'commander';
import { commandLine } from './command-line.ts';
import type { Option } from './config/options.ts';
import { NarrowcastError } from './nix/error.ts';
import { hideSecrets } from './telemetry/secrets.ts';

/** Runs the command and gives the exit code: 0 ok, 1 runtime failure, 2 usage or configuration. */
export async function run(argv: readonly string[]): Promise<number> {
  const { options, rest } = takeOptions(argv);
  try {
    await commandLine(options).parseAsync(rest, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${explain(error, options)}\n`);
    return isUsersMistake(error) ? 2 : 1;
  }
}

/** Takes every `--option KEY VALUE` out of the arguments: commander knows no option with two values. */
function takeOptions(argv: readonly string[]): { options: Option[]; rest: string[] } {
  const options: Option[] = [];
  const rest = [...argv];
  for (let at = rest.indexOf('--option'); at >= 0; at = rest.indexOf('--option', at)) {
    const [, key, value] = rest.slice(at, at + 3);
    if (key === undefined || value === undefined) break;
    options.push([key, value]);
    rest.splice(at, 3);
  }
  return { options, rest };
}

function isUsersMistake(error: unknown): boolean {
  return (
    error instanceof NarrowcastError &&
    ['bad-config', 'bad-usage', 'bad-pin', 'bad-root'].includes(error.code)
  );
}

/** What stderr says about an error; the stack only when the log is asked to be that talkative. */
function explain(error: unknown, options: readonly Option[]): string {
  const talkative = options.some(([key, value]) => key === 'log-level' && ['debug', 'trace'].includes(value));
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return hideSecrets(`narrowcast: ${talkative && stack !== undefined ? stack : message}`);
}
