import type { StorePath } from '../nix/store-path.ts';
import { type Clock, systemClock } from '../telemetry/clock.ts';
import type { LocalStore } from './local-store.ts';
import { type PathInfo, referencesFirst } from './path-info.ts';
import { Persistence } from './persistence.ts';
import { maxQuestion, type UploadServer } from './upload-server.ts';

/** What a push will do. */
export interface Plan {
  /** How many paths the closure has. */
  readonly paths: number;
  /** What the server lacks, each after all that it refers to. */
  readonly missing: readonly PathInfo[];
}

/** What a question costs on the way there, in bytes: more or less, with its headers. */
const questionBytes = 300;
const prefixBytes = 8;

/**
 * Asks the server what it lacks of the closure, with as few bytes as can be: whole closures where they are few, else all paths at once.
 * @throws PushError; `unreachable` at once
 */
export async function planPush(
  roots: readonly StorePath[],
  store: LocalStore,
  server: UploadServer,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<Plan> {
  const closure = await store.closure(roots, signal);
  const left = await withoutWhole(closure, server, signal, clock);
  const missing = new Set<string>();
  const paths = left.map(({ storePath }) => storePath);
  for (let at = 0; at < paths.length; at += maxQuestion) {
    const some = paths.slice(at, at + maxQuestion);
    const answer = await asked(() => server.missing(some, signal), signal, clock);
    for (const { base } of answer) missing.add(base);
  }
  const lacking = closure.filter(({ storePath }) => missing.has(storePath.base));
  return { paths: closure.length, missing: referencesFirst(lacking) };
}

/** The paths without the closures that the server has whole. */
async function withoutWhole(
  closure: readonly PathInfo[],
  server: UploadServer,
  signal: AbortSignal,
  clock: Clock,
): Promise<readonly PathInfo[]> {
  const tops = withoutReferrers(closure);
  if (tops.length * questionBytes > closure.length * prefixBytes + questionBytes) return closure;
  const byBase = new Map(closure.map((info) => [info.storePath.base, info]));
  for (const top of tops) {
    if (await asked(() => server.hasClosure(top.storePath, signal), signal, clock)) drop(top, byBase);
  }
  return [...byBase.values()];
}

/** Takes a path out, and all that it refers to. */
function drop(top: PathInfo, from: Map<string, PathInfo>): void {
  const stack = [top];
  for (let info = stack.pop(); info !== undefined; info = stack.pop()) {
    if (!from.delete(info.storePath.base)) continue;
    stack.push(...info.references.flatMap(({ base }) => from.get(base) ?? []));
  }
}

/** The paths that no other one refers to. */
function withoutReferrers(infos: readonly PathInfo[]): PathInfo[] {
  const referred = new Set(
    infos.flatMap(({ storePath, references }) =>
      references.filter(({ base }) => base !== storePath.base).map(({ base }) => base),
    ),
  );
  return infos.filter(({ storePath }) => !referred.has(storePath.base));
}

/** A question that is asked again when the connection breaks; a server that cannot be reached is told at once. */
function asked<T>(ask: () => Promise<T>, signal: AbortSignal, clock: Clock): Promise<T> {
  return new Persistence(clock, signal, (error) => error.fault !== 'unreachable').of(ask);
}
