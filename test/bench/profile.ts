import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Nginx } from '../e2e/harness/nginx.ts';
import { compiled } from './compiled.ts';
import { topFunctions } from './cpu-profile.ts';
import { download } from './download.ts';
import { manyNarinfos } from './material/many-narinfos.ts';
import { narCache } from './material/nar-cache.ts';
import { Relay } from './relay.ts';
import { load } from './wrk.ts';

const seconds = 10;
const narBytes = 200_000_000;

/** What a relay does while it is profiled. Each starts its own and ends it. */
const scenes: Readonly<Record<string, (profile: string) => Promise<void>>> = {
  async narinfo(profile) {
    const { directory, publicKey, presentList } = await manyNarinfos();
    await using nginx = await Nginx.start(directory);
    await using relay = await Relay.start({ ...(await usual(profile)), substituter: nginx.url, publicKey });
    await load(relay.url, { list: presentList }, seconds, 'found');
  },
  async nar(profile) {
    const { directory, publicKey, nars } = await narCache(narBytes);
    await using nginx = await Nginx.start(directory);
    await using relay = await Relay.start({ ...(await usual(profile)), substituter: nginx.url, publicKey });
    for (const { hashPart, narSize } of nars) await download(await relay.narUrl(hashPart), narSize);
  },
  async idle(profile) {
    await using _relay = await Relay.start({ ...(await usual(profile)), substituter: 'http://127.0.0.1:9' });
    await setTimeout(3 * seconds * 1_000);
  },
};

async function usual(profile: string) {
  return { program: await compiled(), nodeArguments: ['--cpu-prof', `--cpu-prof-dir=${profile}`] };
}

const [scene = ''] = process.argv.slice(2);
const play = scenes[scene];
if (play === undefined) {
  process.stderr.write(`npm run profile -- ${Object.keys(scenes).join('|')}\n`);
  process.exit(2);
}
const profile = join(import.meta.dirname, '../../.cache/profiles', `${scene}-${Date.now()}`);
await mkdir(profile, { recursive: true });
await play(profile);
for (const { name, ms, share } of await topFunctions(profile, 10))
  process.stdout.write(
    `${ms.toFixed(0).padStart(8)} ms ${(100 * share).toFixed(1).padStart(5)} %  ${name}\n`,
  );
process.stdout.write(`The whole profile, for a browser's developer tools: ${profile}\n`);
