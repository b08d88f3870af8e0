import fc from 'fast-check';
import { expect, test } from 'vitest';
import { derivationKey, References } from '../../../agent/cache/references.ts';
import { type HashPart, isHashPart } from '../../../agent/nix/store-path.ts';

const paths = [...'0123456'].map((digit) => digit.repeat(32)).filter(isHashPart);
const anyPath = fc.constantFrom(...paths);

test('who refers to whom is what a map of lists would say, and a path has its number while it is stored or referred to', () => {
  const changes = fc.array(fc.tuple(anyPath, fc.option(fc.array(anyPath, { maxLength: 5 }))), {
    maxLength: 80,
  });
  fc.assert(
    fc.property(changes, (all) => {
      const references = new References();
      const model = new Map<HashPart, HashPart[]>();
      for (const [path, others] of all) {
        if (others === null) {
          references.delete(path);
          model.delete(path);
        } else {
          const number = references.set(path, {
            references: others,
            derivation: derivationKey(derivationOf(path)),
          });
          expect(references.path(number)).toBe(path);
          model.set(
            path,
            others.filter((other) => other !== path),
          );
        }
        for (const path of paths) {
          const referrers = [...model.values()].flat().filter((other) => other === path).length;
          expect(references.of(path)).toEqual(model.get(path));
          expect(references.outputsOf(derivationOf(path))).toEqual(model.has(path) ? [path] : []);
          expect(references.referrers(path)).toBe(referrers);
          expect(references.number(path) > 0).toBe(model.has(path) || referrers > 0);
        }
      }
    }),
    { numRuns: 300 },
  );
});

function derivationOf(path: HashPart): string {
  return `${path}-some.drv`;
}
