import fc from 'fast-check';
import { type NarSample, narSample, representations } from './nar-sample.ts';

const sizes = [300, 5_000, 60_000, 100_000, 200_000, 300_000] as const;
const samples: ReadonlyMap<number, NarSample> = new Map(
  sizes.map((size) => [size, narSample(`nar-${size}`, size)]),
);
export const another = narSample('another', 80_000);

/** A part of a file, from 0 to 1. */
const part = fc.integer({ min: 0, max: 1_000 }).map((thousandths) => thousandths / 1_000);
/** From when, for how long, in ms. */
const spell = fc.tuple(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 10, max: 100_000 }));

const opening = fc.oneof(
  { weight: 3, arbitrary: fc.record({ cutAfter: part }) },
  { weight: 1, arbitrary: fc.record({ silentAfter: part }) },
  {
    weight: 1,
    arbitrary: fc.record({ refuse: fc.constantFrom('unavailable', 'broken', 'gone', 'unreachable') }),
  },
  { weight: 2, arbitrary: fc.constant({}) },
);

const lie = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.record({ flip: part }) },
  { weight: 1, arbitrary: fc.record({ flip: part, once: fc.constant(true) }) },
  { weight: 1, arbitrary: fc.record({ short: part }) },
  { weight: 1, arbitrary: fc.constant('another' as const) },
);

const source = fc.record({
  reach: fc.constantFrom('lan', 'upstream'),
  configured: fc.boolean(),
  representation: fc.constantFrom(...representations),
  nameless: fc.oneof(
    { weight: 4, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  hidden: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  openings: fc.array(opening, { maxLength: 6 }),
  lie,
  ranges: fc.oneof(
    { weight: 6, arbitrary: fc.constant('honoured' as const) },
    { weight: 1, arbitrary: fc.constantFrom('ignored', 'wrong') },
  ),
  tellsSize: fc.oneof(
    { weight: 4, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  chunk: fc.integer({ min: 2_000, max: 20_000 }),
  pause: fc.constantFrom(0, 1, 100, 3_000),
  latency: fc.integer({ min: 1, max: 300 }),
  away: fc.array(spell, { maxLength: 2 }),
  captive: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: spell }),
  knownSpeed: fc.option(fc.integer({ min: 100, max: 10_000_000 }), { nil: undefined }),
});

const reader = fc.record({
  start: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60_000 })),
  from: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: part }),
  pause: fc.constantFrom(0, 0, 1, 100, 10_000),
  leavesAfter: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: part }),
});

const left = fc.record({
  representation: fc.constantFrom(...representations),
  bytes: part,
  /** One of the sources, or somebody who is not there any more. */
  by: fc.integer({ min: 0, max: 4 }),
  wrong: fc.boolean(),
});

/** What sources and clients do, and what is on disk, at random. */
export const situation = fc.record({
  size: fc.constantFrom(...sizes),
  sources: fc.array(source, { minLength: 1, maxLength: 4 }),
  /** Whether an honest and quick upstream is there all the time. */
  saved: fc.boolean(),
  readers: fc.array(reader, { minLength: 1, maxLength: 4 }),
  /** After so many writes the disk is full. */
  disk: fc.oneof(
    { weight: 4, arbitrary: fc.constant(Number.POSITIVE_INFINITY) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 30 }) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  ),
  earlier: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: left }),
  stored: fc.oneof(
    { weight: 6, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom('right', 'wrong') },
  ),
});

type Value<A> = A extends fc.Arbitrary<infer T> ? T : never;
export type Situation = Value<typeof situation>;
export type SourceSpec = Value<typeof source>;
export type ReaderSpec = Value<typeof reader>;

export function sampleOf({ size }: Situation): NarSample {
  return samples.get(size) ?? another;
}

/** The operator names all upstreams; on the LAN there may be others. */
export function isTrusted({ reach, configured }: SourceSpec): boolean {
  return reach === 'upstream' || configured;
}

/** Whether something that the operator named gives wrong bytes, which clients may get then. */
export function hasTrustedLiar(s: Situation): boolean {
  const spec = s.sources[s.earlier?.by ?? -1];
  const wrongOnDisk = s.stored === 'wrong' || (s.earlier?.wrong && spec !== undefined && isTrusted(spec));
  return wrongOnDisk || s.sources.some((spec) => spec.lie !== undefined && isTrusted(spec));
}

export function idOf(n: number): string {
  return `source-${n}`;
}
