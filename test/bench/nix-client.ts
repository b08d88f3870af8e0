import { type NixOptions, PrivateStore, privateStoreSkipReason } from '../e2e/harness/private-store.ts';

/** As newer versions of Nix have it without being asked. */
const narsAtOnce = '16';

/** Real Nix with a fresh store and one substituter. */
export class NixClient {
  readonly #options: NixOptions;

  /**
   * Trusts that key, and a file of certificates where one is given.
   * @throws Error where no private store can be made
   */
  constructor(publicKey: string, certificate?: string) {
    const reason = privateStoreSkipReason();
    if (reason !== undefined) throw new Error(reason);
    this.#options = {
      'trusted-public-keys': publicKey,
      'max-jobs': narsAtOnce,
      ...(certificate !== undefined && { 'ssl-cert-file': certificate }),
    };
  }

  /** Substitutes a closure into a fresh store. Resolves to the seconds that it took. */
  realise(substituter: string, top: string): Promise<number> {
    return this.#timed(substituter, ['nix-store', '--realise', top]);
  }

  /** Asks for all narinfos of a closure, as Nix does before it fetches anything. Resolves to the seconds that it took. */
  askForAll(substituter: string, top: string): Promise<number> {
    return this.#timed(substituter, ['nix-store', '--realise', '--dry-run', top]);
  }

  async #timed(substituter: string, argv: readonly string[]): Promise<number> {
    const options = { ...this.#options, substituters: substituter };
    await using store = await PrivateStore.create({ options });
    const started = performance.now();
    await store.mustRun(argv, { timeoutMs: 600_000 });
    return (performance.now() - started) / 1_000;
  }
}
