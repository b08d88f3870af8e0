import { join } from 'node:path';
import type { Fixture } from '../../fixtures/closure.ts';
import { PrivateStore } from './private-store.ts';
import type { Outcome } from './run-command.ts';

const main = join(import.meta.dirname, '../../../agent/main.ts');

/** A machine whose store has the fixture, and which pushes. */
export class Builder implements AsyncDisposable {
  readonly store: PrivateStore;
  readonly #fixture: Fixture;

  private constructor(store: PrivateStore, fixture: Fixture) {
    this.store = store;
    this.#fixture = fixture;
  }

  static async start(fixture: Fixture): Promise<Builder> {
    const store = await PrivateStore.create();
    await store.mustRun(['nix', 'copy', '--no-check-sigs', '--from', `file://${fixture.dir}`, fixture.top]);
    return new Builder(store, fixture);
  }

  /** `narrowcast COMMAND…` on this machine, with the fixture's key as the one that is trusted. */
  command(args: readonly string[]): string[] {
    return [process.execPath, main, ...args, '--option', 'trusted-public-keys', this.#fixture.publicKey];
  }

  /** `narrowcast push`, signed with the fixture's key. */
  push(to: { url: string }, netrc: string, args: readonly string[] = []): Promise<Outcome> {
    const words = ['--to', to.url, '--netrc-file', netrc, '--key-file', this.#fixture.secretKeyFile];
    const paths = args.some((word) => word.startsWith('/nix/store/')) ? [] : [this.#fixture.top];
    return this.store.run(this.command(['push', ...paths, ...words, ...args]), { timeoutMs: 150_000 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.store[Symbol.asyncDispose]();
  }
}
