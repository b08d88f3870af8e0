import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { printStorePath } from '../../../agent/nix/store-path.ts';
import type { PathInfo } from '../../../agent/push/path-info.ts';
import { Queue } from '../../../agent/push/queue.ts';
import { QueueWorker } from '../../../agent/push/queue-worker.ts';
import { Spool } from '../../../agent/push/spool.ts';
import { UploadServer } from '../../../agent/push/upload-server.ts';
import { createLogger } from '../../../agent/telemetry/log.ts';
import { MadeStore } from './made-store.ts';
import { hasty, key, publicKey, temporaryDirectory } from './run-push.ts';
import { ScriptedServer } from './scripted-server.ts';

/** A worker that runs until the test ends, and what it logs. */
async function workerFor(queue: Queue, store: MadeStore, url: URL) {
  const stop = new AbortController();
  const lines: Record<string, unknown>[] = [];
  const watchers = new Set<() => void>();
  const write = (line: string) => {
    lines.push(JSON.parse(line));
    for (const look of watchers) look();
  };
  const log = await createLogger('info', { write }, false);
  const server = new UploadServer({ url, connectTimeout: 1_000, stalledTimeout: 10_000, connections: 2 });
  const worker = new QueueWorker({
    queue,
    name: 'server',
    log,
    signal: stop.signal,
    clock: hasty,
    push: {
      store,
      server,
      spool: await Spool.open(temporaryDirectory(), 'server'),
      packing: { compression: 'zstd', level: 3 },
      signing: { storeDir: '/nix/store', trusted: new Map([['test-1', publicKey]]), key },
      jobs: 2,
      pace: (bytes) => bytes,
    },
  });
  const running = worker.run();
  onTestFinished(async () => {
    stop.abort();
    await running;
    await server.close();
  });
  return {
    worker,
    lines,
    /** Resolves once so many lines say this. */
    async logged(msg: string, times = 1): Promise<void> {
      await new Promise<void>((resolve) => {
        const look = () => {
          if (lines.filter((line) => line['msg'] === msg).length < times) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      });
    },
  };
}

async function queueWith(...jobs: PathInfo[][]) {
  const queue = await Queue.open(temporaryDirectory(), '/nix/store', ['server']);
  for (const paths of jobs)
    await queue.add(paths.map(({ storePath }) => printStorePath(storePath, '/nix/store')));
  await queue.handOut();
  return queue;
}

const left = (queue: Queue) => readdirSync(join(queue.dir, '.to/server'));

test('what is in the queue is pushed, and what comes later', async () => {
  await using server = await ScriptedServer.start();
  const store = new MadeStore();
  const leaf = store.add('leaf', randomBytes(1_000));
  const top = store.add('top', randomBytes(1_000), [leaf]);
  const queue = await queueWith([top], [leaf]);
  const { worker, logged } = await workerFor(queue, store, server.url);
  await logged('pushed', 2);
  const late = store.add('late', randomBytes(10));
  await queue.add([`/nix/store/${late.storePath.base}`]);
  await queue.handOut();
  worker.wake();
  await logged('pushed', 3);
  expect(server.narinfos.size).toBe(3);
});

test('a server that is away gets its jobs when it is back', async () => {
  const gone = await ScriptedServer.start();
  const { url } = gone;
  await gone[Symbol.asyncDispose]();
  const store = new MadeStore();
  const queue = await queueWith([store.add('a', randomBytes(10))], [store.add('b', randomBytes(10))]);
  const { logged, lines } = await workerFor(queue, store, url);
  await logged('push put off', 3);
  expect(left(queue)).toHaveLength(2);
  await using back = await ScriptedServer.start(undefined, Number(url.port));
  await logged('pushed', 2);
  expect(back.narinfos.size).toBe(2);
  const waits = lines.flatMap((line) => (line['msg'] === 'push put off' ? [line['wait']] : []));
  expect(waits.slice(0, 3)).toEqual([1_000, 2_000, 4_000]);
});

test('a job that is refused holds up no other; one that is damaged is given up; one that is gone is dropped', async () => {
  await using server = await ScriptedServer.start();
  const store = new MadeStore();
  const refused = store.add('refused', randomBytes(10));
  const damaged = store.add('damaged', randomBytes(10));
  const good = store.add('good', randomBytes(10));
  const gone = new MadeStore().add('gone', randomBytes(10));
  store.spoil(damaged);
  const path = new RegExp(refused.storePath.hashPart);
  for (let n = 0; n < 1_000; n++) server.faults.push({ method: 'PUT', path, status: 403 });
  const queue = await queueWith([gone], [refused], [damaged], [good]);
  const { logged, lines } = await workerFor(queue, store, server.url);
  await Promise.all([logged('pushed'), logged('job given up'), logged('push put off', 2)]);
  expect(lines.find(({ msg }) => msg === 'pushed')).toMatchObject({
    path: `/nix/store/${good.storePath.base}`,
  });
  expect(lines.map(({ msg }) => msg)).toContain('not pushed: it is no longer in the store');
  server.faults.length = 0;
  await logged('pushed', 2);
  expect(server.narinfos.size).toBe(2);
});
