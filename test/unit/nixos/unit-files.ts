import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { dir } from '../commands/narrowcast.ts';

type Section = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** A unit's sections. */
export type Unit = Readonly<Record<string, Section>>;

/** Sections as a unit file, in the way of NixOS: one line for each item of a list. */
export function unitFile(unit: Unit): string {
  return Object.entries(unit)
    .map(([name, section]) => {
      const lines = Object.entries(section).flatMap(([key, value]) =>
        [value].flat().map((item) => `${key}=${item}`),
      );
      return [`[${name}]`, ...lines, ''].join('\n');
    })
    .join('\n');
}

/** Writes units as files of these names. Returns the files. */
async function written(units: Readonly<Record<string, Unit>>): Promise<string[]> {
  const directory = await mkdtemp(join(dir, 'units-'));
  return Promise.all(
    Object.entries(units).map(async ([name, unit]) => {
      const file = join(directory, name);
      await writeFile(file, unitFile(unit));
      return file;
    }),
  );
}

/** What `systemd-analyze verify` finds wrong with units of these names; what it says of this machine's own is not ours. */
export async function complaints(units: Readonly<Record<string, Unit>>): Promise<string[]> {
  const files = await written(units);
  const { stdout, stderr } = await mustRun(['systemd-analyze', 'verify', '--man=false', ...files]);
  return `${stdout}${stderr}`.split('\n').filter((line) => line.includes('narrowcast'));
}

/** How exposed systemd finds a service: 0 (safe) to 10. */
export async function exposure(service: Unit): Promise<number> {
  const [file = ''] = await written({ 'narrowcast.service': service });
  const security = ['systemd-analyze', 'security', '--offline=true', '--no-pager', file];
  const { stdout } = await mustRun(security);
  return Number(/Overall exposure level for \S+: ([\d.]+) /.exec(stdout)?.[1]);
}

/** A unit with more in its sections. */
export function extended(unit: Unit, more: Unit): Unit {
  return Object.fromEntries(
    Object.entries(unit).map(([name, section]) => [name, { ...section, ...more[name] }]),
  );
}
