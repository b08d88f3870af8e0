import { isDecodable } from '../../nix/compression.ts';
import { NarrowcastError } from '../../nix/error.ts';
import type { Narinfo } from '../../nix/narinfo.ts';
import type { HashPart, StorePath } from '../../nix/store-path.ts';
import { type Clock, delay } from '../../telemetry/clock.ts';
import { Crew } from './crew.ts';
import { type RelayClient, RelayError } from './relay-client.ts';

/** About as many as Nix asks for at once. */
const lookupsAtOnce = 24;
const narsAtOnce = 8;
const tries = 3;
/** How long, in s, a NAR that came whole may take to be on disk: a memory card needs a while for a large one. */
const keptWithin = 60;
/** So many NARs that came and were not kept mean that none will be. */
const hopeless = 3;

/** A path that is not in the cache, and why. */
export interface Failure {
  readonly path: StorePath;
  readonly why: string;
}

/** What is told while it goes on. */
export interface WarmingEvents {
  /** A path can be had. */
  found(narinfo: Narinfo): void;
  /** A path is in the cache; `fetched` is false when it was there before. */
  kept(narinfo: Narinfo, fetched: boolean): void;
  failed(failure: Failure): void;
  /** Bytes of a NAR came. */
  came(bytes: number): void;
}

/** Has a relay take paths into its cache directory, with all that they refer to where the whole closure is wanted. */
export class Warming {
  readonly #client: RelayClient;
  readonly #closure: boolean;
  readonly #events: WarmingEvents;
  readonly #clock: Clock;
  readonly #seen = new Set<HashPart>();
  readonly #over = new AbortController();
  readonly #lookups = new Crew<StorePath>(
    lookupsAtOnce,
    this.#unlessOver((path) => this.#lookUp(path)),
  );
  readonly #nars = new Crew<Narinfo>(
    narsAtOnce,
    this.#unlessOver((narinfo) => this.#fetch(narinfo)),
  );
  readonly #checks = new Crew<Narinfo>(
    lookupsAtOnce,
    this.#unlessOver((narinfo) => this.#check(narinfo)),
  );
  #notKept = 0;

  constructor(client: RelayClient, closure: boolean, clock: Clock, events: WarmingEvents) {
    this.#client = client;
    this.#closure = closure;
    this.#events = events;
    this.#clock = clock;
  }

  /** How many paths are wanted, as far as is known yet. */
  get paths(): number {
    return this.#seen.size;
  }

  /**
   * Resolves when each path is in the cache or has failed.
   * @throws RelayError `relay-gone`; NarrowcastError `nothing-kept` when NARs come and are not in the cache afterwards
   */
  async run(paths: readonly StorePath[]): Promise<void> {
    for (const path of paths) this.#want(path);
    await this.#lookups.idle();
    await this.#nars.idle();
    await this.#checks.idle();
    this.#over.signal.throwIfAborted();
  }

  #want(path: StorePath): void {
    if (this.#seen.has(path.hashPart)) return;
    this.#seen.add(path.hashPart);
    this.#lookups.add(path);
  }

  async #lookUp(path: StorePath): Promise<void> {
    const narinfo = await this.#client.narinfo(path.hashPart);
    if (narinfo === undefined) return this.#events.failed({ path, why: 'nobody within reach has it' });
    if (this.#closure) for (const reference of narinfo.references) this.#want(reference);
    if (!isDecodable(narinfo.compression)) {
      const why = `its NAR is packed with ${narinfo.compression}, which is passed on and not kept`;
      return this.#events.failed({ path, why });
    }
    this.#events.found(narinfo);
    if (await this.#client.isStored(narinfo)) this.#events.kept(narinfo, false);
    else this.#nars.add(narinfo);
  }

  /** A NAR that was cut is had again from the beginning: the relay kept what came, so that only the rest crosses the link. */
  async #fetch(narinfo: Narinfo): Promise<void> {
    for (let left = tries - 1; ; left -= 1) {
      let came = 0;
      try {
        await this.#client.fetch(narinfo, this.#over.signal, (bytes) => {
          came += bytes;
          this.#events.came(bytes);
        });
        return this.#checks.add(narinfo);
      } catch (error) {
        this.#events.came(-came);
        if (!(error instanceof RelayError) || error.code === 'relay-gone') throw error;
        if (left === 0) return this.#events.failed({ path: narinfo.storePath, why: error.message });
      }
      await delay(this.#clock, 1_000, this.#over.signal);
    }
  }

  /** The last byte of a NAR comes before its file is safe on disk. */
  async #check(narinfo: Narinfo): Promise<void> {
    if (!(await this.#client.isStored(narinfo, keptWithin))) return this.#miss(narinfo);
    this.#notKept = 0;
    this.#events.kept(narinfo, true);
  }

  #miss({ storePath: path }: Narinfo): void {
    this.#events.failed({ path, why: 'it came, and is not in the cache' });
    this.#notKept += 1;
    if (this.#notKept < hopeless) return;
    throw new NarrowcastError(
      'nothing-kept',
      'What comes is not kept: the log of narrowcast says whether its disk is full, read-only or failing.',
    );
  }

  /** The first error ends everything. */
  #unlessOver<T>(work: (item: T) => Promise<void>): (item: T) => Promise<void> {
    return async (item) => {
      if (this.#over.signal.aborted) return;
      try {
        await work(item);
      } catch (error) {
        this.#over.abort(error);
      }
    };
  }
}
