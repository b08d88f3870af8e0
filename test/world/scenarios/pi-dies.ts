import { pathNamed } from '../../fixtures/closure.ts';
import { must, type Scenario } from '../scenario.ts';

/** DESIGN 1, fourth scene. */
export const piDies: Scenario = {
  name: 'pi-dies',
  about: 'the Pi is switched off in mid-NAR, and the upstream gives the rest',
  play: async ({ world, fixture, timeline }) => {
    await world.nginxPi();
    const agent = await world.agent('laptop');
    await agent.logged('cache found on the LAN');
    const store = await world.store('laptop', agent.url);
    const { path, fileSize } = pathNamed(fixture, 'small-b');
    const realised = world.run('laptop', store, ['nix-store', '--realise', path]);
    await world.until('0.5 MB has come from the Pi', () => world.receivedBy(agent.pid) > 0.5e6);
    world.unplug('pi');
    timeline.say('pi', 'is switched off');
    await realised;
    must(timeline, (await store.verify([path])).code === 0, 'the path is right');
    const { overUplink } = world;
    must(timeline, overUplink < fileSize * 1.08, `${overUplink} bytes crossed the uplink for ${fileSize}`);
  },
};
