import { must, type Scenario, storeWithAll } from '../scenario.ts';

/** DESIGN 1, fifth scene. */
export const twoLaptops: Scenario = {
  name: 'two-laptops',
  about: 'two laptops without a Pi find each other, and the second takes from the first',
  play: async (stage) => {
    const { world, fixture, timeline } = stage;
    const first = await world.agent('laptop');
    const firstStore = await world.store('laptop', first.url);
    await world.run('laptop', firstStore, ['nix-store', '--realise', fixture.top]);
    const once = world.overUplink;
    const second = await world.agent('second');
    await second.logged('cache found on the LAN');
    await storeWithAll(stage, 'second', second.url);
    const again = world.overUplink - once;
    must(timeline, again < 20_000, `${once} bytes crossed the uplink for the first, ${again} for the second`);
  },
};
