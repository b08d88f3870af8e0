import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRange } from '../../../agent/http/range.ts';

const size = fc.integer({ min: 1, max: 2 ** 40 });
const position = fc.integer({ min: 0, max: 2 ** 41 });

/** What RFC 9110, section 14.1.2, says of one range, position by position. */
function holds(header: string, size: number, at: number): boolean {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === '') return at >= size - Number(last) && at < size;
  return at >= Number(first) && (last === '' || at <= Number(last)) && at < size;
}

describe('a range', () => {
  test.for([
    ['bytes=0-', 10, { start: 0, end: 10 }],
    ['bytes=3-', 10, { start: 3, end: 10 }],
    ['bytes=9-', 10, { start: 9, end: 10 }],
    ['bytes=0-0', 10, { start: 0, end: 1 }],
    ['bytes=2-5', 10, { start: 2, end: 6 }],
    ['bytes=2-99', 10, { start: 2, end: 10 }],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-99', 10, { start: 0, end: 10 }],
    [' bytes=1-2 ', 10, { start: 1, end: 3 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-20', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=999999999999999-', 10, 'unsatisfiable'],
    [undefined, 10, undefined],
    ['', 10, undefined],
    ['bytes=-', 10, undefined],
    ['bytes=5-2', 10, undefined],
    ['bytes=0-1,4-5', 10, undefined],
    ['items=0-1', 10, undefined],
    ['bytes=a-b', 10, undefined],
    ['bytes=1.5-', 10, undefined],
    ['bytes=+1-', 10, undefined],
    ['bytes=0x1-', 10, undefined],
    ['bytes=1-2x', 10, undefined],
    [`bytes=${'1'.repeat(400)}-`, 10, undefined],
  ] as const)('%j of %i bytes', ([header, size, expected]) => {
    expect(parseRange(header, size)).toEqual(expected);
  });

  const range = fc.oneof(
    position.map((first) => `bytes=${first}-`),
    fc.tuple(position, position).map(([a, b]) => `bytes=${Math.min(a, b)}-${Math.max(a, b)}`),
    position.map((length) => `bytes=-${length}`),
  );

  test('that can be met is within the file and what was asked for, no more and no less', () => {
    fc.assert(
      fc.property(range, size, (header, size) => {
        const parsed = parseRange(header, size);
        if (parsed === undefined) throw new Error(`${header} is a range`);
        if (parsed === 'unsatisfiable') {
          for (const at of [0, size - 1, size >> 1]) expect(holds(header, size, at)).toBe(false);
          return;
        }
        const { start, end } = parsed;
        expect(start).toBeGreaterThanOrEqual(0);
        expect(end).toBeGreaterThan(start);
        expect(end).toBeLessThanOrEqual(size);
        for (const at of [start, end - 1]) expect(holds(header, size, at)).toBe(true);
        if (start > 0) expect(holds(header, size, start - 1)).toBe(false);
        expect(holds(header, size, end)).toBe(false);
      }),
    );
  });

  test('is read from any text without an error', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `bytes=${text}`),
        ),
        size,
        (header, size) => {
          const parsed = parseRange(header, size);
          if (typeof parsed === 'object') expect(parsed.end).toBeLessThanOrEqual(size);
        },
      ),
    );
  });
});
