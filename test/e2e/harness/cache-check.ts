import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOfBase32, field } from './spoiled-narinfo.ts';

/**
 * Looks at a cache directory as any other program would, at any moment: whether each narinfo has its whole NAR. What was right and
 * has not been written since is not read again.
 */
export class CacheCheck {
  readonly #directory: string;
  readonly #right = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What is wrong, a line for each narinfo; nothing is in a directory that does not exist. */
  async wrong(): Promise<string[]> {
    const all = await readdir(this.#directory).catch(() => []);
    const names = all.filter((name) => name.endsWith('.narinfo'));
    const findings = await Promise.all(names.map(async (name) => [name, await this.#fault(name)] as const));
    return findings.flatMap(([name, fault]) => (fault === undefined ? [] : [`${name}: ${fault}`]));
  }

  async #fault(name: string): Promise<string | undefined> {
    const narinfo = await readFile(join(this.#directory, name), 'utf8');
    const hash = field(narinfo, 'FileHash').replace(/^sha256:/, '');
    if (hash === '' || !narinfo.endsWith('\n')) return 'not whole';
    const nar = join(this.#directory, field(narinfo, 'URL'));
    const facts = await stat(nar).catch(() => undefined);
    if (facts === undefined) return 'without its NAR';
    if (facts.size !== Number(field(narinfo, 'FileSize'))) return `its NAR has ${facts.size} bytes`;
    const state = `${hash} ${facts.ino} ${facts.size} ${facts.mtimeMs} ${facts.ctimeMs}`;
    if (this.#right.has(state)) return undefined;
    const digest = createHash('sha256')
      .update(await readFile(nar))
      .digest();
    if (!digest.equals(digestOfBase32(hash))) return 'its NAR is not the right one';
    this.#right.add(state);
    return undefined;
  }
}
