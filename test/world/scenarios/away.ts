import { pathNamed } from '../../fixtures/closure.ts';
import { must, type Scenario } from '../scenario.ts';

/** DESIGN 1, second scene. */
export const away: Scenario = {
  name: 'away',
  about:
    'in a café the cable is pulled in mid-NAR for 3 s; the NAR goes on, and no byte crosses the uplink twice',
  play: async ({ world, fixture, timeline }) => {
    world.carry('laptop', 'cafe');
    const agent = await world.agent('laptop');
    const store = await world.store('laptop', agent.url);
    const { path, fileSize } = pathNamed(fixture, 'small-b');
    const realised = world.run('laptop', store, ['nix-store', '--realise', path]);
    await world.until('1 MB has crossed the uplink', () => world.overUplink > 1e6);
    world.unplug('laptop');
    timeline.say('laptop', 'its cable is pulled');
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    world.carry('laptop', 'cafe');
    await realised;
    must(timeline, (await store.verify([path])).code === 0, 'the path is right');
    const { overUplink } = world;
    must(timeline, overUplink < 1.08 * fileSize, `${overUplink} bytes crossed the uplink for ${fileSize}`);
  },
};
