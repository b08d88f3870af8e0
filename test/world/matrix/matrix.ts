import type { Fixture } from '../../fixtures/closure.ts';
import { type Measured, measureCell } from './cell.ts';
import { matrixFaults } from './faults.ts';
import type { Cell } from './source.ts';
import { CacheStates, states } from './states.ts';

/** More would measure the machine's load. */
const atATime = 6;
/** Nobody waits longer for nothing, in ms. */
export const longest = 60_000;

/** Every combination. */
export function allCells(): Cell[] {
  return (['LAN', 'upstream', 'both'] as const).flatMap((place) =>
    matrixFaults.flatMap((fault) =>
      (['narinfo', 'NAR'] as const).flatMap((subject) =>
        states.map((state) => ({ fault, subject, place, state })),
      ),
    ),
  );
}

/** A few that are quickly measured, of every kind. */
export function someCells(): Cell[] {
  const chosen = [
    'LAN, refused, NAR, cold',
    'LAN, wrong bytes, NAR, partly cached',
    'LAN, 503 with Retry-After, narinfo, cold',
    'LAN, captive portal, narinfo, cold',
    'LAN, agent killed and restarted, NAR, cold',
    'upstream, FIN early, NAR, partly cached',
    'upstream, wrong narinfo, narinfo, cold',
    'upstream, address changes, narinfo, cold',
    'both, hang before headers, narinfo, warm',
    'both, RST, narinfo, cold',
  ];
  return allCells().filter((cell) => chosen.includes(nameOf(cell)));
}

/** A cell in words. */
export function nameOf({ place, fault, subject, state }: Cell): string {
  return `${place}, ${fault.name}, ${subject}, ${state}`;
}

/** Measures cells, some at a time; `told` hears of each as it is done. In the order of the cells. */
export async function measureMatrix(
  fixture: Fixture,
  cells: readonly Cell[],
  told: (measured: Measured) => void,
): Promise<Measured[]> {
  await using caches = await CacheStates.create(fixture);
  const measured: Measured[] = [];
  const left = cells.entries();
  const work = async () => {
    for (const [index, cell] of left) {
      const result = await measureCell(fixture, caches, cell);
      measured[index] = result;
      told(result);
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return measured;
}

/** Whether Nix ended right, or went on without the path, soon enough. That what came is right is seen to by the cell itself. */
export function isGood({ outcome, ms }: Measured): boolean {
  return (outcome === 'substituted' || outcome === 'built') && ms <= longest;
}
