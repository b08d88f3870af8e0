import { must, type Scenario } from '../scenario.ts';

/** DESIGN 1, first scene. */
export const home: Scenario = {
  name: 'home',
  about: 'a Pi with a directory behind nginx gives what it has, and none of that crosses the uplink',
  play: async ({ world, fixture, timeline }) => {
    await world.nginxPi();
    const agent = await world.agent('laptop');
    await agent.logged('cache found on the LAN');
    const store = await world.store('laptop', agent.url);
    await world.run('laptop', store, ['nix-store', '--realise', fixture.top]);
    const verified = await store.verify(fixture.paths.map(({ path }) => path));
    must(timeline, verified.code === 0, 'all five paths are right');
    const { overUplink } = world;
    must(timeline, overUplink < 20_000, `${overUplink} bytes crossed the uplink, of ${sum(fixture)}`);
  },
};

function sum({ paths }: { paths: readonly { fileSize: number }[] }): number {
  return paths.reduce((bytes, { fileSize }) => bytes + fileSize, 0);
}
