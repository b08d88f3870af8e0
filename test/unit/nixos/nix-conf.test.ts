import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mustRun } from '../../e2e/harness/run-command.ts';
import { dir } from '../commands/narrowcast.ts';
import { asNix, evaluate, nixos } from './evaluate.ts';

describe('of the former substituters', () => {
  const divide = (former: readonly string[]) =>
    evaluate(`import ${nixos}/substituters.nix { port = 6270; } ${asNix(former)}`);

  test('narrowcast takes those that it can fetch from, in their order, and Nix keeps the others', async () => {
    const moved = [
      'https://cache.nixos.org/',
      'https://cache.nixos.org',
      'http://192.168.0.42?priority=10',
      'http://[fd00::1]:5000/cache/',
      'file:///mnt/usb',
      'file:///mnt/usb/cache?priority=5',
      'http://localhost:5000',
      'http://localhost:62700',
    ];
    const kept = [
      's3://bucket?region=eu-west-1',
      'ssh://builder',
      'ssh-ng://builder',
      'daemon',
      '/mnt/store',
      'https://user:secret@cache.example',
      'https://cache.example?trusted=1',
      'https://cache.example?priority=10&trusted=1',
      'file://host/mnt',
    ];
    const mixed = kept.flatMap((url, nth) => [url, ...moved.slice(nth, nth + 1)]);
    expect(await divide(mixed)).toEqual({ moved, kept });
  });

  test('its own address is in neither list: it would ask itself', async () => {
    const own = [
      'http://localhost:6270',
      'http://localhost:6270/',
      'http://127.0.0.1:6270?priority=10',
      'http://[::1]:6270/',
    ];
    expect(await divide(own)).toEqual({ moved: [], kept: [] });
  });
});

test('real Nix reads the nix.conf as it is meant', async () => {
  const {
    forced,
    defaults,
  }: Record<string, Record<string, unknown>> = await evaluate(
    `import ${nixos}/nix-settings.nix { url = "http://localhost:6270"; kept = [ "s3://bucket" ]; }`,
  );
  const settings = { ...defaults, ...forced };
  // As NixOS writes it: extra-* last.
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${[value].flat().join(' ')}\n`);
  const home = await mkdtemp(join(dir, 'nix-'));
  await writeFile(join(home, 'nix.conf'), lines.join(''));
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, NIX_CONF_DIR: home, NIX_REMOTE: 'dummy://' };
  const { stdout, stderr } = await mustRun(
    ['nix', '--extra-experimental-features', 'nix-command', 'show-config', '--json'],
    { env },
  );
  expect(stderr).not.toMatch(/unknown setting|warning/);
  const understood: Record<string, { value: unknown }> = JSON.parse(stdout);
  const { 'extra-substituters': _, ...named } = settings;
  for (const [name, value] of Object.entries(named))
    expect([name, understood[name]?.value]).toEqual([name, value]);
  expect(understood['substituters']?.value).toEqual(['http://localhost:6270', 's3://bucket']);
});
