import { cpus, release, totalmem } from 'node:os';
import { runCommand } from '../e2e/harness/run-command.ts';

/** The machine that the figures are of, by what a reader needs to compare: each value is for people. */
export type Machine = Readonly<
  Record<'CPU' | 'memory' | 'system' | 'Node' | 'nginx' | 'xz' | 'zstd' | 'wrk', string>
>;

export async function describeMachine(): Promise<Machine> {
  const [cpu] = cpus();
  return {
    CPU: `${cpu?.model.trim() ?? 'unknown'}, ${cpus().length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${process.platform} ${release()} ${process.arch}`,
    Node: process.versions.node,
    nginx: await versionOf(['nginx', '-v']),
    xz: await versionOf(['xz', '--version']),
    zstd: await versionOf(['zstd', '--version']),
    wrk: await versionOf(['wrk', '-v']),
  };
}

/** The first version number that a program prints. */
async function versionOf(argv: readonly string[]): Promise<string> {
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
  const said = await runCommand(argv, { env }).catch(() => undefined);
  return /\d+(?:\.\d+)+/.exec(`${said?.stdout}${said?.stderr}`)?.[0] ?? 'not installed';
}
