import type { PrivateStore } from '../e2e/harness/private-store.ts';
import type { Fixture } from '../fixtures/closure.ts';
import type { Timeline } from './timeline.ts';
import type { Host, World } from './world.ts';

/** Something that happens to people, played with real programs. */
export interface Scenario {
  readonly name: string;
  /** In one line. */
  readonly about: string;
  /** Throws when something is not as it must be. What it starts and does not end itself ends with the world. */
  readonly play: (stage: Stage) => Promise<void>;
}

export interface Stage {
  readonly world: World;
  /** The small closure: five paths, of which `small-b` has 2.9 MB and the others little. */
  readonly fixture: Fixture;
  readonly timeline: Timeline;
}

/** Throws unless it is so; tells the timeline when it is. */
export function must(timeline: Timeline, holds: boolean, what: string): void {
  if (!holds) throw new Error(`it is not so that ${what}`);
  timeline.say('✓', what);
}

/** A new store on a host, into which everything came through the agent at that URL and is right. */
export async function storeWithAll(
  { world, fixture, timeline }: Stage,
  host: Host,
  url: string,
): Promise<PrivateStore> {
  const store = await world.store(host, url);
  await world.run(host, store, ['nix-store', '--realise', fixture.top]);
  const verified = await store.verify(fixture.paths.map(({ path }) => path));
  must(timeline, verified.code === 0, 'all five paths are right');
  return store;
}
