import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ownWorldForbidden } from '../world/own-world.ts';
import { labForbidden, ready } from './discovery/lab.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { runCommand } from './harness/run-command.ts';
import { skippable } from './harness/skippable.ts';

const main = join(import.meta.dirname, '../world/main.ts');
const world = (...args: string[]) => runCommand([process.execPath, main, ...args]);
const timeout = 120_000;

skippable(describe, ownWorldForbidden() ?? labForbidden() ?? privateStoreSkipReason())('the world', () => {
  test('at home nothing crosses the uplink that the Pi has, and roaming is not felt', {
    timeout,
  }, async () => {
    const { code, stdout, stderr } = await world('home', 'roam');
    expect(code, stdout + stderr).toBe(0);
    for (const name of ['home', 'roam']) expect(stdout).toMatch(new RegExp(`^${name}: `, 'm'));
    expect(stdout.match(/^ +\d+\.\d\d s {2}✓/gm)).toHaveLength(4);
  });

  test('a few cells of the fault matrix are as they must be', { timeout }, async () => {
    const { code, stdout, stderr } = await world('matrix', '--short');
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/^10 cells: .* 0 failed, 0 hung; 0 not as they must be/m);
    expect(stdout).toMatch(/^ {2}upstream, address changes, narinfo, cold: substituted/m);
  });

  test('leaves nothing behind when it is killed', { timeout }, async () => {
    const mark = randomUUID();
    const killed: ChildProcess = spawn(process.execPath, [main, 'home'], {
      env: { ...process.env, NARROWCAST_TEST_MARK: mark },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await ready(killed, 'stdout', /laptop +listening/);
    expect(processesWith(mark).length).toBeGreaterThan(3);
    killed.kill('SIGKILL');
    await expect.poll(() => processesWith(mark), { timeout: 10_000 }).toEqual([]);
  });
});

/** The processes, in this machine or any world in it, whose environment has the mark. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  });
}
