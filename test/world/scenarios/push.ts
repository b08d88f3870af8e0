import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TemporaryDirectory } from '../../e2e/harness/temporary-directory.ts';
import { type Scenario, storeWithAll } from '../scenario.ts';

const token = 'a-token-for-the-world';

/** DESIGN 1, seventh scene. */
export const push: Scenario = {
  name: 'push',
  about:
    'a builder on the internet pushes a closure to the Pi with nix copy, and the laptop takes it from there',
  play: async (stage) => {
    const { world, fixture } = stage;
    await using directory = await TemporaryDirectory.create('push');
    const tokens = join(directory.path, 'tokens');
    const netrc = join(directory.path, 'netrc');
    await writeFile(tokens, `builder:${token}\n`);
    await writeFile(netrc, `machine 10.7.0.1 login builder password ${token}\n`);
    for (const secret of [tokens, netrc]) await chmod(secret, 0o600);
    await world.agent('pi', { substituters: [], upload: { 'tokens-file': tokens } });

    const builder = await world.store('builder', '');
    const fill = ['nix', 'copy', '--no-check-sigs', '--from', `file://${fixture.dir}`, fixture.top];
    await world.run('builder', builder, fill);
    const to = `http://10.7.0.1:6271?compression=zstd&secret-key=${fixture.secretKeyFile}`;
    await world.run('builder', builder, [
      'nix',
      'copy',
      '--option',
      'netrc-file',
      netrc,
      '--to',
      to,
      fixture.top,
    ]);

    const agent = await world.agent('laptop', { substituters: [] });
    await agent.logged('cache found on the LAN');
    await storeWithAll(stage, 'laptop', agent.url);
  },
};
