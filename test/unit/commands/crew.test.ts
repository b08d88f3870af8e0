import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Crew } from '../../../agent/commands/fetch/crew.ts';

test('so many at once, in order, and idle when all is done, what was added meanwhile as well', async () => {
  const begun: number[] = [];
  const end: (() => void)[] = [];
  const crew = new Crew<number>(3, (item) => {
    begun.push(item);
    if (item === 3) crew.add(100);
    return new Promise((resolve) => end.push(resolve));
  });
  for (let item = 0; item < 5; item++) crew.add(item);
  expect(begun).toEqual([0, 1, 2]);
  let idle = false;
  const done = crew.idle().then(() => {
    idle = true;
  });
  end.shift()?.();
  await nextTurn();
  expect(begun).toEqual([0, 1, 2, 3]);
  while (end.length > 0) {
    expect(idle).toBe(false);
    end.shift()?.();
    await nextTurn();
  }
  await done;
  expect(begun).toEqual([0, 1, 2, 3, 4, 100]);
});

test('idle with nothing to do', async () => {
  await new Crew(1, async () => {}).idle();
});
