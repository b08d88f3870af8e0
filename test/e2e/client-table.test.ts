import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { measureTable, printTable, type Row, readOutcomes } from './harness/client-table.ts';
import { privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';

skippable(describe, privateStoreSkipReason())('whatever the upstream does', () => {
  let measured: Row[];
  beforeAll(async () => {
    measured = await measureTable();
  }, 900_000);

  test('I1: no build fails or hangs with the relay as its only substituter', () => {
    const failed = measured.filter(
      ({ relayed: { outcome } }) => outcome !== 'substituted' && outcome !== 'built',
    );
    expect(failed.map(({ name, relayed }) => `${name}: ${relayed.outcome}\n${relayed.stderr}`)).toEqual([]);
  });

  test('the faults are real: without the relay many of them fail the build', () => {
    const failed = measured.filter(({ straight: { outcome } }) => outcome === 'fails');
    expect(failed.length).toBeGreaterThanOrEqual(40);
  });

  test('the document says what was measured', async () => {
    const document = await readFile(join(import.meta.dirname, '../../docs/nix-through-relay.md'), 'utf8');
    expect(readOutcomes(document)).toEqual(readOutcomes(printTable(measured)));
  });
});
