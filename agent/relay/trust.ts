import { contentAddressHolds, withTrueContentAddress } from '../nix/content-address.ts';
import type { Narinfo } from '../nix/narinfo.ts';
import { type PublicKey, trustedSigner } from '../nix/signature.ts';

/** A narinfo that counts (I3), and why: the name of the key that signed it, or `content address`. */
export interface Trusted {
  readonly narinfo: Narinfo;
  readonly by: string;
}

/** A signature by the name of its key. */
export interface JudgedSignature {
  readonly key: string;
  readonly worth: 'trusted' | 'unknown' | 'wrong';
}

/** Decides which narinfos count: signed by a trusted key, or a content-addressed path whose address was recomputed. */
export class Trust {
  readonly #storeDir: string;
  readonly #keys: ReadonlyMap<string, PublicKey>;

  constructor(storeDir: string, keys: ReadonlyMap<string, PublicKey>) {
    this.#storeDir = storeDir;
    this.#keys = keys;
  }

  /**
   * The narinfo as it may be passed on, without a `CA:` that does not hold; undefined when it does not count. A true address does not
   * always vouch for NarHash: where it does not, an unsigned NarHash is believed only of a source that the operator `configured`.
   */
  judge(narinfo: Narinfo, configured: boolean): Trusted | undefined {
    const signer = trustedSigner(narinfo, this.#storeDir, this.#keys);
    if (signer !== undefined) return { narinfo: withTrueContentAddress(narinfo, this.#storeDir), by: signer };
    if (!contentAddressHolds(narinfo, this.#storeDir) || !(configured || bindsNarHash(narinfo)))
      return undefined;
    return { narinfo, by: 'content address' };
  }

  /** What each signature of a narinfo is worth: `unknown` is by a key that is not trusted, `wrong` does not verify. */
  signatures(narinfo: Narinfo): JudgedSignature[] {
    return narinfo.signatures.map((signature) => {
      const key = signature.keyName;
      if (!this.#keys.has(key)) return { key, worth: 'unknown' };
      const holds =
        trustedSigner({ ...narinfo, signatures: [signature] }, this.#storeDir, this.#keys) === key;
      return { key, worth: holds ? 'trusted' : 'wrong' };
    });
  }
}

/** Whether a content address that holds is the NarHash itself: the recursive sha256 of a path that does not refer to itself. */
function bindsNarHash({ ca, storePath, references }: Narinfo): boolean {
  const refersToItself = references.some(({ base }) => base === storePath.base);
  return ca?.startsWith('fixed:r:sha256:') === true && !refersToItself;
}
