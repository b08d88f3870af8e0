import * as v from 'valibot';
import { NarrowcastError } from '../../nix/error.ts';
import { hideSecrets } from '../../telemetry/secrets.ts';
import type { RunProgram } from './run-program.ts';

const words = v.object({ value: v.array(v.string()) });
const seconds = v.object({ value: v.number() });
const flag = v.object({ value: v.boolean() });

/** The part of `nix config show --json` that matters here; Nix 2.8 to 2.34 have these names and types. */
const schema = v.object({
  substitute: flag,
  substituters: words,
  'trusted-substituters': words,
  'trusted-public-keys': words,
  'narinfo-cache-negative-ttl': seconds,
  'narinfo-cache-positive-ttl': seconds,
  fallback: flag,
  'connect-timeout': seconds,
});

/** What Nix makes of its configuration; times in seconds. */
export interface NixSettings {
  readonly substitute: boolean;
  readonly substituters: readonly string[];
  readonly trustedSubstituters: readonly string[];
  readonly trustedPublicKeys: readonly string[];
  readonly negativeTtl: number;
  readonly positiveTtl: number;
  readonly fallback: boolean;
  readonly connectTimeout: number;
}

const commands = [
  ['nix', 'config', 'show', '--json'],
  // Before 2.20.
  ['nix', 'show-config', '--json'],
];

/**
 * Asks Nix itself, so that includes, `extra-…` settings and files of users count as they do for builds.
 * @throws NarrowcastError `nix-absent` where no Nix is on PATH, `nix-unreadable` when it refuses its configuration
 */
export async function nixSettings(run: RunProgram, env: NodeJS.ProcessEnv): Promise<NixSettings> {
  let complaint = '';
  for (const command of commands) {
    const ran = await run([...command, '--extra-experimental-features', 'nix-command'], env);
    if (ran === undefined) throw new NarrowcastError('nix-absent', 'No Nix is on PATH.');
    if (ran.code === 0) return read(ran.stdout);
    complaint = errorIn(ran.stderr);
  }
  throw new NarrowcastError('nix-unreadable', `Nix refuses its configuration: ${complaint}`);
}

/** The environment in which Nix reads the system's configuration only, as its daemon does. */
export function systemOnly(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NIX_CONFIG: _, ...rest } = env;
  return { ...rest, NIX_USER_CONF_FILES: '' };
}

/** Warnings come before it, and advice to read the manual after it. */
function errorIn(stderr: string): string {
  const lines = hideSecrets(stderr).split('\n');
  const error = lines.findLast((line) => /^\s*error: *\S/.test(line)) ?? lines.join(' ');
  return error.replace(/^\s*error: */, '');
}

function read(json: string): NixSettings {
  const all = v.parse(schema, JSON.parse(json));
  return {
    substitute: all.substitute.value,
    substituters: all.substituters.value,
    trustedSubstituters: all['trusted-substituters'].value,
    trustedPublicKeys: all['trusted-public-keys'].value,
    negativeTtl: all['narinfo-cache-negative-ttl'].value,
    positiveTtl: all['narinfo-cache-positive-ttl'].value,
    fallback: all.fallback.value,
    connectTimeout: all['connect-timeout'].value,
  };
}
