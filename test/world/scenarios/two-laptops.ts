import { must, type Scenario } from '../scenario.ts';

/** DESIGN 1, fifth scene. */
export const twoLaptops: Scenario = {
  name: 'two-laptops',
  about: 'two laptops without a Pi find each other, and the second takes from the first',
  play: async ({ world, fixture, timeline }) => {
    const first = await world.agent('laptop');
    const firstStore = await world.store('laptop', first.url);
    await world.run('laptop', firstStore, ['nix-store', '--realise', fixture.top]);
    const once = world.overUplink;
    const second = await world.agent('second');
    await second.logged('cache found on the LAN');
    const store = await world.store('second', second.url);
    await world.run('second', store, ['nix-store', '--realise', fixture.top]);
    const verified = await store.verify(fixture.paths.map(({ path }) => path));
    must(timeline, verified.code === 0, 'all five paths are right');
    const again = world.overUplink - once;
    must(timeline, again < 20_000, `${once} bytes crossed the uplink for the first, ${again} for the second`);
  },
};
