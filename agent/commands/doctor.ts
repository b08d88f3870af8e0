import { ConfigError } from '../config/error.ts';
import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { NarrowcastError } from '../nix/error.ts';
import { type Examined, examine } from './doctor/examine.ts';
import { fault } from './doctor/finding.ts';
import { report } from './doctor/report.ts';
import { runProgram } from './doctor/run-program.ts';
import { counted } from './terminal/amounts.ts';

/** How to show what was found. */
export interface DoctorOptions {
  /** As an array of checks: name, verdict (ok, warning, fault or skipped), fact, cure, nixos. */
  readonly json?: boolean;
}

const avahi = '/etc/avahi/avahi-daemon.conf';

/**
 * Looks at all that keeps Nix from its caches, prints what was found, and what mends it.
 * @throws NarrowcastError `doctor-faults` when something must be mended
 */
export async function doctor({ json = false }: DoctorOptions, sources: ConfigSources): Promise<void> {
  const all = await examined(sources);
  process.stdout.write(json ? asJson(all) : report(all, process.stdout.columns ?? 80));
  const faults = all.filter(({ finding }) => finding.verdict === 'fault');
  if (faults.length === 0) return;
  const names = faults.map(({ name }) => name).join(', ');
  throw new NarrowcastError('doctor-faults', `${counted(faults.length, 'fault')}, see above: ${names}.`);
}

async function examined(sources: ConfigSources): Promise<Examined[]> {
  const config = await configOrFault(sources);
  if ('finding' in config) return [config];
  return await examine({ config, env: process.env, run: runProgram, avahi });
}

/** Without a configuration there is nothing to compare with. */
async function configOrFault(sources: ConfigSources): Promise<Config | Examined> {
  try {
    return await loadConfig(sources);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const cure = { cure: 'see: narrowcast serve --help', nixos: 'services.narrowcast.settings' };
    return { name: 'configuration', finding: fault(error.message.replaceAll(/\n\s*/g, ' '), cure) };
  }
}

function asJson(all: readonly Examined[]): string {
  return `${JSON.stringify(
    all.map(({ name, finding }) => ({ name, ...finding })),
    undefined,
    2,
  )}\n`;
}
