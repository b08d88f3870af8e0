import { contentAddressHolds, withTrueContentAddress } from '../nix/content-address.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type PublicKey, trustedSigner } from '../nix/signature.ts';

/** A narinfo that counts (I3), and why: the name of the key that signed it, or `content address`. */
export interface Trusted {
  readonly narinfo: Narinfo;
  readonly by: string;
}

/** Decides which narinfos count: signed by a trusted key, or a content-addressed path whose address was recomputed. */
export class Trust {
  readonly #storeDir: string;
  readonly #keys: ReadonlyMap<string, PublicKey>;

  constructor(storeDir: string, keys: ReadonlyMap<string, PublicKey>) {
    this.#storeDir = storeDir;
    this.#keys = keys;
  }

  /** The narinfo as it may be passed on, without a `CA:` that does not hold; undefined when it does not count. */
  judge(narinfo: Narinfo): Trusted | undefined {
    const signer = trustedSigner(narinfo, this.#storeDir, this.#keys);
    if (signer === undefined && !contentAddressHolds(narinfo, this.#storeDir)) return undefined;
    return { narinfo: withTrueContentAddress(narinfo, this.#storeDir), by: signer ?? 'content address' };
  }
}
