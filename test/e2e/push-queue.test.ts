import { existsSync, readdirSync, watch } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Fixture,
  hashPartOf,
  largeClosure,
  smallClosure,
  smallExpression,
} from '../fixtures/closure.ts';
import { Builder } from './harness/builder.ts';
import { Pi } from './harness/pi.ts';
import { freePort } from './harness/ports.ts';
import { PrivateStore, privateStoreSkipReason } from './harness/private-store.ts';
import { skippable } from './harness/skippable.ts';
import { TemporaryDirectory } from './harness/temporary-directory.ts';
import { UploadLink } from './harness/upload-link.ts';

const timeout = 180_000;
const hook = join(import.meta.dirname, '../../docs/post-build-hook');

/** Resolves once the directory has files, or none. */
async function until(dir: string, wanted: 'some' | 'none'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (readdirSync(dir).length > 0 !== (wanted === 'some')) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(dir, look);
    watcher.on('error', reject);
    look();
  });
}

skippable(describe, privateStoreSkipReason())('narrowcast push-daemon', () => {
  let large: Fixture;
  let small: Fixture;
  beforeAll(async () => {
    large = await largeClosure();
    small = await smallClosure();
  }, 600_000);

  const start = async (builder: Builder, fixture: Fixture, queue: string, pi: Pi, to: string[]) => {
    const pidFile = join(queue, '.pid');
    const words = [
      'push-daemon',
      '--queue',
      queue,
      '--netrc-file',
      pi.netrc,
      '--key-file',
      fixture.secretKeyFile,
    ];
    const command = builder.command([...words, '--to', ...to]);
    const ended = builder.store.run(['sh', '-c', 'echo $$ > "$0"; exec "$@"', pidFile, ...command], {
      timeoutMs: timeout,
    });
    let running = true;
    void ended.then(() => {
      running = false;
    });
    const kill = async (signal: NodeJS.Signals) =>
      process.kill(Number(await readFile(pidFile, 'utf8')), signal);
    return {
      ended,
      kill,
      async [Symbol.asyncDispose]() {
        if (running) await kill('SIGKILL');
      },
    };
  };

  test('killed with a queue and started anew it brings everything', { timeout }, async () => {
    await using directory = await TemporaryDirectory.create('queue');
    await using builder = await Builder.start(large);
    await using pi = await Pi.start(large);
    await using link = await UploadLink.start(pi.url);
    const queue = directory.path;
    const waiting = join(queue, '.to', new URL(link.url).host.replace(':', '_'));
    await mkdir(waiting, { recursive: true });
    for (const { path } of large.paths) await writeFile(join(queue, hashPartOf(path)), path);

    await using first = await start(builder, large, queue, pi, [link.url]);
    await link.carried(15_000_000);
    await first.kill('SIGKILL');
    expect((await first.ended).code).toBe(null);
    expect(await readdir(waiting)).not.toEqual([]);

    await using second = await start(builder, large, queue, pi, [link.url]);
    await until(waiting, 'none');
    await second.kill('SIGTERM');
    const { code, stderr } = await second.ended;
    expect(code, stderr).toBe(0);
    const options = { substituters: pi.url, 'trusted-public-keys': large.publicKey };
    await using store = await PrivateStore.create({ options });
    await store.mustRun(['nix-store', '--realise', large.top]);
  });

  test('what real Nix builds comes by the hook to the server that is there, and waits for the one that is not', {
    timeout,
  }, async () => {
    await using directory = await TemporaryDirectory.create('queue');
    await using builder = await Builder.start(small);
    await using pi = await Pi.start(small);
    const queue = directory.path;
    const away = `127.0.0.1:${await freePort()}`;
    const [here, there] = [new URL(pi.url).host, away].map((host) =>
      join(queue, '.to', host.replace(':', '_')),
    );
    const script = join(queue, '.hook');
    await writeFile(script, `#!/bin/sh\nNARROWCAST_QUEUE=${queue} exec ${hook}\n`, { mode: 0o755 });
    await mkdir(here ?? '', { recursive: true });
    await mkdir(there ?? '', { recursive: true });

    await using daemon = await start(builder, small, queue, pi, [pi.url, `http://${away}`]);
    // Jobs are handed out in the order of the servers.
    const arrived = until(there ?? '', 'some');
    const built = await builder.store.mustRun(
      ['nix-build', '--no-out-link', '-A', 'wanted', smallExpression],
      {
        options: { 'post-build-hook': script },
      },
    );
    await arrived;
    await until(here ?? '', 'none');
    expect(existsSync(join(pi.dir, `${hashPartOf(built.stdout.trim())}.narinfo`))).toBe(true);
    expect(await readdir(there ?? '')).toHaveLength(1);
    await daemon.kill('SIGTERM');
    const { code, stderr } = await daemon.ended;
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('push put off');
  });
});
