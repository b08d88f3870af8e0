import type { Files } from '../../../../agent/cache/files.ts';
import type { NarCache } from '../../../../agent/cache/nar-cache.ts';
import type { NarSample, Representation } from './nar-sample.ts';
import { flipped } from './scene.ts';
import type { Opening } from './scripted-source.ts';
import {
  another,
  idOf,
  isTrusted,
  type ReaderSpec,
  type Situation,
  type SourceSpec,
  sampleOf,
} from './situation.ts';
import { type Got, temporaryCache, unsynced, World } from './world.ts';

/** What a client has in the end, after all its tries. */
export interface Result {
  readonly from: number;
  readonly bytes: Buffer;
  readonly last: Got;
  readonly tries: number;
  /** It does not leave before the end. */
  readonly stays: boolean;
}

/** Lets a situation happen, to the end of every client. */
export async function play(
  s: Situation,
): Promise<{ world: World; results: Result[]; close(): Promise<void> }> {
  const stored = s.disk === undefined ? undefined : await temporaryCache(fullAfter(s.disk));
  const world = new World({ sample: sampleOf(s), ...(stored && { cache: stored.cache }) });
  if (stored !== undefined) await prepareDisk(s, world, stored.cache);
  for (const [n, spec] of s.sources.entries()) addSource(world, spec, n);
  if (s.saved) world.add({ id: 'saver', chunk: 20_000 }, 'zstd');
  const results = await world.run(Promise.all(s.readers.map((spec) => read(world, spec))));
  return { world, results, close: async () => stored?.close() };
}

function addSource(world: World, spec: SourceSpec, n: number): void {
  const { sample, time } = world;
  const { representation, openings, captive, away, nameless, hidden, knownSpeed } = spec;
  const file = sample.files[representation];
  const id = idOf(n);
  const opened = openings.map((opening): Opening => {
    const bytes = (name: 'cutAfter' | 'silentAfter') =>
      name in opening ? { [name]: Math.floor(file.length * Number(Reflect.get(opening, name))) } : {};
    return {
      ...('refuse' in opening && { refuse: opening.refuse }),
      ...bytes('cutAfter'),
      ...bytes('silentAfter'),
    };
  });
  const lying = lieOf(sample, spec);
  const once = typeof spec.lie === 'object' && 'once' in spec.lie;
  const within = ([start, length]: readonly [number, number]) =>
    time.now() >= start && time.now() < start + length;
  world.add(
    {
      id,
      reach: spec.reach,
      configured: isTrusted(spec),
      openings: once ? opened.map((opening) => ({ ...opening, file: lying })) : opened,
      ...(!once && { file: lying }),
      ranges: spec.ranges,
      tellsSize: spec.tellsSize,
      chunk: spec.chunk,
      pause: spec.pause,
      latency: spec.latency,
      up: () => !away.some(within),
      ...(captive && { captive: () => within(captive) }),
    },
    representation,
    { hidden, nameless },
  );
  if (knownSpeed !== undefined) world.pool.get(id)?.throughput.add(knownSpeed);
}

function lieOf(sample: NarSample, { lie, representation }: SourceSpec): Buffer {
  const file = sample.files[representation];
  if (lie === undefined) return file;
  if (lie === 'another') return another.files[representation];
  if ('short' in lie) return file.subarray(0, Math.floor(file.length * lie.short));
  return flipped(file, Math.min(file.length - 1, Math.floor(file.length * lie.flip)));
}

async function prepareDisk(s: Situation, world: World, cache: NarCache): Promise<void> {
  const { sample, known } = world;
  const put = async (representation: Representation, bytes: Buffer, sourceId: string, whole: boolean) => {
    const narinfo = sample.narinfo(representation);
    const { url, compression, fileHash, fileSize } = narinfo;
    const partial = await cache.partial(sample.narHash);
    if (partial === undefined || fileHash === undefined || fileSize === undefined) return false;
    await partial.begin({ sourceId, url, compression, fileHash, fileSize });
    await partial.append(bytes);
    const committed = whole && (await partial.commit(narinfo, { hash: fileHash, size: bytes.length }));
    await partial.release();
    return committed;
  };
  if (s.stored !== undefined) {
    const bytes = s.stored === 'right' ? sample.files.zstd : flipped(sample.files.zstd);
    known.stored = (await put('zstd', bytes, 'x', true)) ? sample.narinfo('zstd') : undefined;
  } else if (s.earlier !== undefined) {
    const file = sample.files[s.earlier.representation];
    const bytes = file.subarray(0, Math.floor(file.length * s.earlier.bytes));
    if (bytes.length > 0)
      await put(
        s.earlier.representation,
        s.earlier.wrong ? flipped(bytes) : bytes,
        idOf(s.earlier.by),
        false,
      );
  }
}

/** A client that resumes like Nix: five tries, from where it is; 'gone' is final. */
async function read(world: World, { start, from: offset, pause, leavesAfter }: ReaderSpec): Promise<Result> {
  const size = world.sample.nar.length;
  const from = Math.min(size - 1, Math.floor(size * offset));
  await world.time.sleep(start);
  const chunks: Buffer[] = [];
  for (let tries = 1, at = from; ; tries++) {
    const until = leavesAfter === undefined ? {} : { until: 1 + Math.floor(size * leavesAfter) };
    const got = await world.get({ from: at, pause, ...until });
    chunks.push(got.bytes);
    at += got.bytes.length;
    if (got.how !== 'cut' || tries === 5)
      return { from, bytes: Buffer.concat(chunks), last: got, tries, stays: leavesAfter === undefined };
    await world.time.sleep(300 * tries);
  }
}

/** A disk that is full after so many writes. */
function fullAfter(writes: number): Files {
  if (writes === Number.POSITIVE_INFINITY) return unsynced;
  let left = writes;
  return {
    ...unsynced,
    async open(path, mode) {
      const file = await unsynced.open(path, mode);
      return {
        ...file,
        write: async (bytes, position) => {
          left -= 1;
          if (left < 0) throw Object.assign(new Error('ENOSPC: injected'), { code: 'ENOSPC' });
          return await file.write(bytes, position);
        },
      };
    },
  };
}
