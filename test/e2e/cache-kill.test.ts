import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stringify } from 'smol-toml';
import { expect, test } from 'vitest';
import { CacheCheck } from './harness/cache-check.ts';
import { makeClosure } from './harness/made-closure.ts';
import { PacedUpstream } from './harness/paced-upstream.ts';
import { Random } from './harness/random.ts';
import { runCommand } from './harness/run-command.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';

/** How often it is killed; 200 times take some three minutes. */
const kills = Number(process.env['NARROWCAST_KILLS'] ?? 40);

const kib = 1024;
const mb = 1_000_000;
const bytesPerSecond = 3 * mb;
/** For each kill, about a third of a second of transfer. */
const bytesPerKill = mb;

const main = join(import.meta.dirname, '../../agent/main.ts');

/** A hundred paths, in any order: more than half are small, the others have most of the bytes. */
function sizes(random: Random): number[] {
  const usual = (kills * bytesPerKill) / 40;
  const all = [
    ...Array.from({ length: 60 }, () => 1 + random.below(64 * kib)),
    ...Array.from({ length: 40 }, () => 1 + random.below(2 * usual)),
  ];
  return all
    .map((size) => ({ size, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ size }) => size);
}

/** Calls `kill` at some instant of a fetch; the result takes that back. */
type Plan = (kill: () => void) => () => void;

/** In the middle of some NAR; while one that has come is being verified and stored; while the agent starts. */
function planFor(random: Random, upstream: PacedUpstream): Plan {
  const onNar = (watch: (kill: () => void, bytes: number, whole: boolean) => void): Plan => {
    return (kill) => {
      const listener = (bytes: number, whole: boolean) => watch(kill, bytes, whole);
      upstream.on('nar', listener);
      return () => upstream.off('nar', listener);
    };
  };
  const later = (ms: number): Plan => {
    return (kill) => {
      const timer = setTimeout(kill, ms);
      return () => clearTimeout(timer);
    };
  };
  let left = random.below(2 * bytesPerKill);
  const pause = random.next() * 20;
  return random.pick([
    onNar((kill, bytes) => {
      left -= bytes;
      if (left <= 0) kill();
    }),
    onNar((kill, bytes, whole) => {
      left -= bytes;
      if (whole || left <= -2 * bytesPerKill) later(pause)(kill);
    }),
    later(random.below(600)),
  ]);
}

test(`killed ${kills} times, the agent keeps only what is whole, and fetches nothing twice`, {
  timeout: 60_000 + kills * 4_000,
}, async () => {
  const random = Random.seeded('cache-kill');
  await using directory = await TemporaryDirectory.create('kill');
  const closure = await makeClosure(join(directory.path, 'upstream'), sizes(random), random);
  const closureBytes = closure.paths.reduce((sum, { fileSize }) => sum + fileSize, 0);
  await using upstream = await PacedUpstream.start(closure.dir, bytesPerSecond);

  const cache = join(directory.path, 'cache');
  await mkdir(cache);
  const configFile = join(directory.path, 'narrowcast.toml');
  await writeFile(
    configFile,
    stringify({
      listen: 'localhost:0',
      substituters: [upstream.url],
      'trusted-public-keys': [closure.publicKey],
      cache: { dir: cache },
      lan: { discover: false },
    }),
  );

  /** Runs `narrowcast fetch` with an agent of its own to its end, or to that instant. Whether it came to its end. */
  const fetch = async (plan: Plan): Promise<boolean> => {
    const child = spawn(process.execPath, [main, 'fetch', '--closure', closure.top, '--config', configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: join(directory.path, 'compiled') },
    });
    const said = text(child.stderr);
    let over = false;
    const cancel = plan(() => {
      if (over) return;
      over = true;
      child.kill('SIGKILL');
      // What is sent to a process that is dying reaches nobody.
      upstream.hangUp();
    });
    const [code, signal] = await once(child, 'exit');
    over = true;
    cancel();
    expect([code, signal], await said).toEqual(signal === null ? [0, null] : [null, 'SIGKILL']);
    return signal === null;
  };

  const check = new CacheCheck(cache);
  const expectClean = async (when: string) => {
    expect(await check.wrong(), when).toEqual([]);
    const scrub = await runCommand([process.execPath, main, 'scrub', '--config', configFile]);
    expect([scrub.code, scrub.stderr], `${when}:\n${scrub.stdout}`).toEqual([0, '']);
  };
  let rounds = 1;
  for (let kill = 1; kill <= kills; kill += 1) {
    const ended = await fetch(planFor(random, upstream));
    expect(await check.wrong(), `after kill ${kill}`).toEqual([]);
    if (kill % 20 === 0) await expectClean(`after kill ${kill}`);
    if (!ended) continue;
    rounds += 1;
    await rm(cache, { recursive: true });
    await mkdir(cache);
  }
  await fetch(() => () => {});
  await expectClean('in the end');
  expect((await readdir(cache)).filter((name) => name.endsWith('.narinfo'))).toHaveLength(
    closure.paths.length,
  );
  const share = upstream.crossed.nars / (rounds * closureBytes);
  process.stderr.write(
    `cache-kill: ${JSON.stringify({ rounds, closureBytes, ...upstream.crossed, share })}\n`,
  );
  expect(share).toBeLessThanOrEqual(1.02);
});
