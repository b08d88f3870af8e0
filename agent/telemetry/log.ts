import { type DestinationStream, type LevelWithSilent, type Logger, pino, stdTimeFunctions } from 'pino';
import { hideSecrets } from './secrets.ts';

export type { Logger } from 'pino';
export { safeUrl } from './secrets.ts';

/** pino's levels: silent, fatal, error, warn, info, debug, trace. */
export type LogLevel = LevelWithSilent;

/**
 * The agent's log on stderr, which leaves stdout to what commands print: one JSON object a line, or text for people
 * on a terminal. Every line goes through `hideSecrets`; errors under `err` keep code, message and causes, and their
 * stack at debug and trace only. Writes are synchronous, so that the last words of a dying process are not lost.
 */
export async function createLogger(
  level: LogLevel,
  out: DestinationStream = pino.destination({ dest: process.stderr.fd, sync: true }),
  terminal: boolean = process.stderr.isTTY,
): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: (error: unknown) => describe(error, level === 'debug' || level === 'trace') },
    hooks: { streamWrite: hideSecrets },
  };
  return pino(options, terminal ? await forPeople(out) : out);
}

/** pino-pretty called for each line: its own stream would keep lines back that process.exit() then loses. */
async function forPeople(out: DestinationStream): Promise<DestinationStream> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss' });
  return { write: (line) => out.write(pretty(line)) };
}

const maxCauses = 5;

function describe(error: unknown, withStack: boolean, depth = 0): unknown {
  if (!(error instanceof Error)) return String(error);
  return {
    type: error.name,
    ...('code' in error && { code: String(error.code) }),
    message: error.message,
    ...(withStack && { stack: error.stack }),
    ...(error.cause !== undefined &&
      depth < maxCauses && { cause: describe(error.cause, withStack, depth + 1) }),
  };
}
