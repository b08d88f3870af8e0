import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isNarFile, type NarFile } from '../../../agent/cache/layout.ts';
import { packedNarFiles } from '../../../agent/cache/packings.ts';
import { TextTable } from '../../../agent/cache/text-table.ts';
import { toBase32 } from '../../../agent/nix/base32.ts';

const endings = ['.nar', '.nar.xz', '.nar.zst', '.nar.br', '.nar.', '.narx', '.xz', ''];
/** As Nix names them and almost so: few hashes with many endings, one of them with a first character that no sha256 has. */
const nearlyNix = fc
  .tuple(fc.constantFrom('0', '1', '2'), fc.nat(3), fc.constantFrom(...endings))
  .map(([first, n, ending]) => `${first}${toBase32(sha256(`${n}`)).slice(1)}${ending}`);
const anyName = fc
  .oneof(nearlyNix, fc.string({ minLength: 1, maxLength: 80 }))
  .filter((name): name is NarFile => isNarFile(name));

test('a text has one number as long as it is in, no other has the same, and it comes back as it was', () => {
  const changes = fc.array(fc.tuple(fc.boolean(), anyName), { maxLength: 300 });
  fc.assert(
    fc.property(changes, (all) => {
      const table = new TextTable(packedNarFiles);
      const model = new Map<NarFile, number>();
      for (const [isAdded, name] of all) {
        const known = model.get(name);
        expect(table.find(name)).toBe(known ?? 0);
        if (isAdded) {
          const number = table.add(name);
          if (known !== undefined) expect(number).toBe(known);
          model.set(name, number);
        } else if (known !== undefined) {
          table.delete(known);
          model.delete(name);
        }
      }
      expect(new Set(model.values()).size).toBe(model.size);
      for (const [name, number] of model) {
        expect(number).toBeGreaterThan(0);
        expect(table.find(name)).toBe(number);
        expect(table.text(number)).toBe(name);
      }
    }),
    { numRuns: 300 },
  );
});

test('thousands come, half of them go, and thousands more come in their place', () => {
  const table = new TextTable(packedNarFiles);
  const names = Array.from({ length: 6_000 }, (_, n) => `${toBase32(sha256(`${n}`))}.nar.xz`).filter(
    isNarFile,
  );
  const [first, gone, later] = [names.slice(0, 2_000), names.slice(2_000, 4_000), names.slice(4_000)];
  for (const name of [...first, ...gone]) table.add(name);
  for (const name of gone) table.delete(table.find(name));
  const numbers = later.map((name) => table.add(name));
  expect(Math.max(...numbers)).toBeLessThanOrEqual(4_000);
  expect(gone.map((name) => table.find(name)).filter((number) => number !== 0)).toEqual([]);
  for (const name of [...first, ...later]) expect(table.text(table.find(name))).toBe(name);
});

function sha256(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
