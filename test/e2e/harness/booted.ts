import { spawnSync } from 'node:child_process';
import { accessSync, constants, realpathSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from './run-command.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

const repository = join(import.meta.dirname, '../../..');

/** Where narrowcast is on a booted machine, as the beginning of a command. */
export const narrowcastThere = '/opt/narrowcast/node /opt/narrowcast/agent/main.ts';

/** Why no systemd can be booted here, in one sentence, or undefined when one can. */
export function bootSkipReason(): string | undefined {
  if (process.getuid?.() !== 0) return 'Only root can boot a systemd in a container.';
  try {
    accessSync('/sys/fs/cgroup', constants.W_OK);
  } catch {
    return 'The control groups of this machine cannot be written to, so no systemd can be booted.';
  }
  const layers = 'mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir u w m && mount -t overlay overlay';
  const tried = spawnSync(
    'unshare',
    ['--mount', 'sh', '-c', `${layers} -o lowerdir=/,upperdir=u,workdir=w m && systemd-nspawn --version`],
    { encoding: 'utf8' },
  );
  if (tried.status === 0) return undefined;
  return `No systemd can be booted here: ${(tried.error?.message ?? tried.stderr).trim()}.`;
}

/** A machine to boot. */
export interface Machine {
  /** Files by their absolute names; those in /opt may be run, the others are root's alone. */
  readonly files: Readonly<Record<string, string>>;
  /** Run by sh before the start, in the machine's root directory. */
  readonly prepare: string;
  /** What is to be started at boot. */
  readonly units: readonly string[];
  /** Scripts for bash, run one after the other when all that is up. */
  readonly probes: Readonly<Record<string, string>>;
}

/**
 * Boots this machine's own systemd in a container on a copy of the file system that goes with it, without a network but loopback.
 * Returns what each probe printed, and `log`, what systemd itself said.
 */
export async function boot({ files, prepare, units, probes }: Machine): Promise<Record<string, string>> {
  await using directory = await TemporaryDirectory.create('boot');
  const layer = join(directory.path, 'layer');
  const target = `[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=probe.service ${units.join(' ')}\n`;
  const probe = `[Unit]
After=${units.join(' ')}
[Service]
Type=oneshot
ExecStart=/bin/bash /opt/probe
ExecStopPost=/bin/systemctl poweroff --force
TimeoutStartSec=90
`;
  const script = Object.entries(probes).map(([name, text]) => `(\n${text}\n) > '/results/${name}' 2>&1\n`);
  const all = {
    ...files,
    '/etc/systemd/system/test.target': target,
    '/etc/systemd/system/probe.service': probe,
    '/opt/probe': `mkdir /results\n${script.join('')}journalctl --no-pager --output=short-monotonic > /results/log\n`,
  };
  for (const [name, text] of Object.entries(all)) {
    await mkdir(dirname(join(layer, name)), { recursive: true });
    await writeFile(join(layer, name), text);
    await chmod(join(layer, name), name.startsWith('/opt/') ? 0o755 : 0o600);
  }
  const results = join(directory.path, 'results');
  const outcome = await runCommand(
    ['unshare', '--mount', 'sh', '-euc', booting, 'sh', layer, results, prepare],
    {
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
      timeoutMs: 150_000,
    },
  );
  const read = async (name: string) => readFile(join(results, name), 'utf8');
  try {
    const names = [...Object.keys(probes), 'log'];
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(name)])));
  } catch (cause) {
    throw new Error(`The machine did not come to its end: ${outcome.stdout}${outcome.stderr}`, { cause });
  }
}

/** $1: files to lay over this machine's own; $2: where the results go; $3: the preparation. */
const booting = `
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work /run/root
mount -t overlay overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work /run/root
cd /run/root
rm -rf etc/systemd/system etc/fstab etc/machine-id
touch etc/fstab etc/machine-id
mkdir -p opt/narrowcast/node_modules
cp -r "$1/." .
chmod 755 . etc etc/systemd etc/systemd/system opt
sh -euc "$3"
timeout --kill-after=5 120 systemd-nspawn --register=no --keep-unit --private-network --console=pipe --quiet --machine=narrowcast-test \\
  --directory=/run/root \\
  --bind-ro='${repository}/agent:/opt/narrowcast/agent' \\
  --bind-ro='${repository}/discovery:/opt/narrowcast/discovery' \\
  --bind-ro='${repository}/package.json:/opt/narrowcast/package.json' \\
  --bind-ro='${realpathSync(join(repository, 'node_modules'))}:/opt/narrowcast/node_modules' \\
  --bind-ro='${process.execPath}:/opt/narrowcast/node' \\
  --boot -- --unit=test.target < /dev/null || true
cp -r results "$2"
`;
