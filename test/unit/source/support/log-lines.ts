import { createLogger, type Logger } from '../../../../agent/telemetry/log.ts';

/** A log at its most talkative, and what was written to it. */
export interface LogLines {
  readonly log: Logger;
  readonly lines: string[];
  /** The messages of the lines of one level. */
  messages(level: string): string[];
}

export async function logLines(): Promise<LogLines> {
  const lines: string[] = [];
  const log = await createLogger('trace', { write: (line) => void lines.push(line) }, false);
  const messages = (level: string) =>
    lines
      .map((line) => JSON.parse(line))
      .filter((line) => line.level === level)
      .map((line) => String(line.msg));
  return { log, lines, messages };
}
