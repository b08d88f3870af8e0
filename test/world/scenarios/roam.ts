import { pathNamed } from '../../fixtures/closure.ts';
import { must, type Scenario } from '../scenario.ts';

/** DESIGN 1, fourth scene. */
export const roam: Scenario = {
  name: 'roam',
  about: 'a NAR is begun at home, goes on in a café, and ends at home; Nix sees one download',
  play: async ({ world, fixture, timeline }) => {
    // Slow enough that to come home is worth it.
    world.shape('upstream', '2mbit');
    const pi = await world.nginxPi();
    const agent = await world.agent('laptop', { lan: { peers: ['http://10.7.0.1'] } });
    await agent.logged('cache found on the LAN');
    const store = await world.store('laptop', agent.url);
    const { path, fileSize } = pathNamed(fixture, 'small-b');
    const realised = world.run('laptop', store, ['nix-store', '--realise', path]);
    await world.until('0.5 MB has come from the Pi', () => world.receivedBy(agent.pid) > 0.5e6);
    world.carry('laptop', 'cafe');
    await world.until('0.5 MB has crossed the uplink', () => world.overUplink > 0.5e6);
    world.carry('laptop', 'home');
    await realised;
    must(timeline, (await store.verify([path])).code === 0, 'the path is right');
    const { overUplink } = world;
    must(timeline, overUplink < fileSize, `${overUplink} bytes crossed the uplink for ${fileSize}`);
    const asked = (await pi.requests()).filter(({ uri }) => uri.startsWith('/nar/'));
    timeline.say(
      'pi',
      `gave ${asked.map(({ bytes, status }) => `${bytes} bytes (${status})`).join(', then ')}`,
    );
  },
};
