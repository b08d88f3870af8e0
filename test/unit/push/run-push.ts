import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { generateKeyPair, parseSecretKey } from '../../../agent/nix/secret-key.ts';
import { parsePublicKey } from '../../../agent/nix/signature.ts';
import type { Packing } from '../../../agent/push/packing.ts';
import type { PathInfo } from '../../../agent/push/path-info.ts';
import { type Plan, planPush } from '../../../agent/push/plan.ts';
import { push } from '../../../agent/push/push.ts';
import { Spool } from '../../../agent/push/spool.ts';
import { UploadServer } from '../../../agent/push/upload-server.ts';
import type { Clock } from '../../../agent/telemetry/clock.ts';
import type { MadeStore } from './made-store.ts';

/** A directory that goes when the test has ended. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'narrowcast-push-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const pair = generateKeyPair('test-1');
/** The key that pushes sign with, and that a server would trust. */
export const key = parseSecretKey(pair.secret);
export const publicKey = parsePublicKey(pair.public);

/** Waits are over at once. */
export const hasty: Clock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms > 60_000 ? ms : 0);
    return () => clearTimeout(timer);
  },
};

export interface Wishes {
  readonly spool?: string;
  readonly packing?: Packing;
  readonly withKey?: boolean;
  readonly signal?: AbortSignal;
  readonly stalledTimeout?: number;
  readonly credentials?: { login: string; password: string };
}

export interface Result {
  readonly plan: Plan;
  readonly pushed: string[];
  readonly failed: Record<string, string>;
  sent: number;
}

/** Pushes the closures of the paths. */
export async function runPush(
  store: MadeStore,
  url: URL,
  roots: readonly PathInfo[],
  { spool = temporaryDirectory(), withKey = true, ...wishes }: Wishes = {},
): Promise<Result> {
  const { signal = new AbortController().signal, credentials, stalledTimeout = 100_000 } = wishes;
  const server = new UploadServer({
    url,
    credentials,
    connectTimeout: 5_000,
    stalledTimeout,
    connections: 4,
    clock: hasty,
  });
  try {
    const plan = await planPush(
      roots.map(({ storePath }) => storePath),
      store,
      server,
      signal,
      hasty,
    );
    const result: Result = { plan, pushed: [], failed: {}, sent: 0 };
    await push(
      plan,
      {
        store,
        server,
        spool: await Spool.open(spool, 'server'),
        packing: wishes.packing ?? { compression: 'zstd', level: 3 },
        signing: {
          storeDir: '/nix/store',
          trusted: new Map([['test-1', publicKey]]),
          key: withKey ? key : undefined,
        },
        jobs: 4,
        pace: (bytes) => bytes,
        signal,
        clock: hasty,
      },
      {
        reached() {},
        sent(bytes) {
          result.sent += bytes;
        },
        pushed: ({ storePath }) => result.pushed.push(storePath.name),
        failed({ storePath }, why) {
          result.failed[storePath.name] = why;
        },
      },
    );
    return result;
  } finally {
    await server.close();
  }
}

/** What waits in a spool. */
export function spooled(spool: string): string[] {
  return readdirSync(join(spool, 'server'));
}
