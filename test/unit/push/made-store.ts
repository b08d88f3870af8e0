import { createHash } from 'node:crypto';
import { toBase32 } from '../../../agent/nix/base32.ts';
import { parseStoreBase, type StorePath } from '../../../agent/nix/store-path.ts';
import { PushError } from '../../../agent/push/error.ts';
import type { LocalStore } from '../../../agent/push/local-store.ts';
import type { PathInfo } from '../../../agent/push/path-info.ts';

/** A store without Nix: what it is told to have. */
export class MadeStore implements LocalStore {
  readonly infos: PathInfo[] = [];
  readonly dumped: string[] = [];
  readonly #nars = new Map<string, Buffer>();

  /** Adds a path; `nar` may be anything. */
  add(
    name: string,
    nar: Buffer,
    references: readonly PathInfo[] = [],
    more: Partial<PathInfo> = {},
  ): PathInfo {
    const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest();
    const info: PathInfo = {
      storePath: parseStoreBase(`${toBase32(sha256(name).subarray(0, 20))}-${name}`),
      narHash: { algorithm: 'sha256', digest: sha256(nar) },
      narSize: nar.length,
      references: references.map(({ storePath }) => storePath),
      signatures: [],
      ...more,
    };
    this.infos.push(info);
    this.#nars.set(info.storePath.base, nar);
    return info;
  }

  /** Changes a bit of what is in the store, and not what its database says. */
  spoil({ storePath }: PathInfo): void {
    const nar = Buffer.from(this.#nars.get(storePath.base) ?? []);
    nar[nar.length >> 1] = (nar[nar.length >> 1] ?? 0) ^ 1;
    this.#nars.set(storePath.base, nar);
  }

  async closure(paths: readonly StorePath[]): Promise<PathInfo[]> {
    const found = new Map<string, PathInfo>();
    const visit = (path: StorePath) => {
      const info = this.infos.find(({ storePath }) => storePath.base === path.base);
      if (info === undefined) throw new PushError('local', `${path.base} is not there`);
      if (found.has(path.base)) return;
      found.set(path.base, info);
      info.references.forEach(visit);
    };
    paths.forEach(visit);
    return [...found.values()];
  }

  async invalid(paths: readonly StorePath[]): Promise<StorePath[]> {
    return paths.filter((path) => !this.#nars.has(path.base));
  }

  async *dump(path: StorePath): AsyncGenerator<Uint8Array> {
    this.dumped.push(path.base);
    const nar = this.#nars.get(path.base) ?? Buffer.alloc(0);
    for (let at = 0; at < nar.length; at += 50_000) yield nar.subarray(at, at + 50_000);
  }
}
