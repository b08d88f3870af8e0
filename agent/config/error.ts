import { NarrowcastError } from '../nix/error.ts';
import { hideSecrets, safeUrl } from '../telemetry/secrets.ts';

/** The configuration cannot be read or is not what it must be; nothing was started. */
export class ConfigError extends NarrowcastError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('bad-config', message, options);
  }
}

/** One thing that is wrong with the configuration. */
export interface Problem {
  /** With its table: `cache.dir`. */
  readonly key: string;
  readonly received: unknown;
  /** Where the value is from: a file, or `--option`. */
  readonly origin: string;
  /** What was expected, or what to do. */
  readonly advice: string;
}

const maxShown = 20;

/** All problems in one error, a line for each; after twenty, their number only. */
export function configError(problems: readonly Problem[]): ConfigError {
  const lines = problems.slice(0, maxShown).map(line);
  const rest = problems.length - lines.length;
  if (rest > 0) lines.push(`and ${rest} more`);
  return new ConfigError(
    lines.length === 1 ? lines.join() : [`${problems.length} settings are wrong:`, ...lines].join('\n  '),
  );
}

function line({ key, received, origin, advice }: Problem): string {
  return `${shorten(key)} = ${shown(key, received)} (${origin}): ${advice}`;
}

/** A value as TOML or nearly so, on one line, without secrets: those told by the key's name are secret too. */
function shown(key: string, value: unknown): string {
  const safe = typeof value === 'string' && value.includes('://') ? safeUrl(value) : value;
  const field = hideSecrets(JSON.stringify({ [key]: safe }));
  return shorten(field.slice(JSON.stringify(key).length + 2, -1));
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 99)}…` : text;
}
