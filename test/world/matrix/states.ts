import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildWanted, type Wanted } from '../../e2e/harness/build-wanted.ts';
import type { FaultName } from '../../e2e/harness/faults.ts';
import { FaultyUpstream } from '../../e2e/harness/faulty-upstream.ts';
import { RelayProcess } from '../../e2e/harness/relay-process.ts';
import { TemporaryDirectory } from '../../e2e/harness/temporary-directory.ts';
import { type Fixture, pathNamed } from '../../fixtures/closure.ts';

/** `partly cached`: the other paths are there, and the first half of the NAR that the fault is about. */
export type State = 'cold' | 'partly cached' | 'warm';

export const states: readonly State[] = ['cold', 'partly cached', 'warm'];

/** Cache directories as real fetches have left them, to be copied. */
export class CacheStates implements AsyncDisposable {
  readonly #fixture: Fixture;
  readonly #root: TemporaryDirectory;
  readonly #made = new Map<string, Promise<string>>();

  private constructor(fixture: Fixture, root: TemporaryDirectory) {
    this.#fixture = fixture;
    this.#root = root;
  }

  static async create(fixture: Fixture): Promise<CacheStates> {
    return new CacheStates(fixture, await TemporaryDirectory.create('states'));
  }

  directory(state: State, wanted: Wanted): Promise<string> {
    const name = `${state} ${wanted.attribute}`;
    const made = this.#made.get(name) ?? this.#make(name, state, wanted);
    this.#made.set(name, made);
    return made;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#root[Symbol.asyncDispose]();
  }

  async #make(name: string, state: State, wanted: Wanted): Promise<string> {
    const dir = join(this.#root.path, name);
    const fault: FaultName = state === 'partly cached' ? 'nar-trunc-ranges-then-404' : 'ok';
    const target = pathNamed(this.#fixture, wanted.needs[0]);
    await using upstream = await FaultyUpstream.start(this.#fixture, fault, { target });
    await using agent = await RelayProcess.start({
      substituters: [upstream.url],
      'trusted-public-keys': [this.#fixture.publicKey],
      cache: { dir },
    });
    if (state === 'cold') return dir;
    const { outcome, stderr } = await buildWanted(this.#fixture, [agent.url], { wanted });
    await agent.stop();
    const partial = await readdir(join(dir, 'partial'));
    const asMeant = state === 'warm' ? outcome === 'substituted' : outcome === 'built' && partial.length > 0;
    if (!asMeant) throw new Error(`a cache that is ${state} was not made (${outcome}): ${stderr}`);
    return dir;
  }
}
