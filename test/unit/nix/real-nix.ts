import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface PathInfo {
  /** SRI. */
  readonly narHash: string;
  readonly narSize: number;
  readonly references: readonly string[];
  readonly signatures: readonly string[];
}

/** Real Nix with a store, a home and files of its own in a temporary directory, gone when disposed of. */
export class RealNix implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'narrowcast-nix-'));
  readonly #store = join(this.directory, 'store');

  /** Runs a Nix program on the store, in the directory; its standard output. */
  run(program: string, ...args: string[]): string {
    return execFileSync(program, program === 'nix-hash' ? args : ['--store', this.#store, ...args], {
      encoding: 'utf8',
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], HOME: this.directory, NIX_CONFIG: config },
    });
  }

  /** The text of a file in the directory. */
  read(name: string): string {
    return readFileSync(join(this.directory, name), 'utf8');
  }

  /** Adds a file to the directory and gives its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.directory, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** What Nix says of a path in its store: a list in 2.8, an object since 2.19. */
  pathInfo(path: string): PathInfo | undefined {
    const infos: PathInfo[] | Record<string, PathInfo> = JSON.parse(
      this.run('nix', 'path-info', '--json', path),
    );
    return Object.values(infos)[0];
  }

  /** The narinfos that Nix writes for everything in the store. */
  narinfos(parameters = 'compression=none'): string[] {
    const cache = mkdtempSync(join(this.directory, 'cache-'));
    this.run('nix', 'copy', '--all', '--to', `file://${cache}?${parameters}`);
    const names = readdirSync(cache).filter((name) => name.endsWith('.narinfo'));
    return names.map((name) => readFileSync(join(cache, name), 'utf8'));
  }

  [Symbol.dispose](): void {
    makeWritable(this.directory);
    rmSync(this.directory, { recursive: true });
  }
}

const config = `
experimental-features = nix-command ca-derivations
substituters =
build-users-group =
sandbox = false
`;

/** A store's directories are read-only, which keeps all but root from emptying them. */
function makeWritable(directory: string): void {
  chmodSync(directory, 0o700);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) makeWritable(join(directory, entry.name));
  }
}
