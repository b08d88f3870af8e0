import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun, runCommand } from './run-command.ts';

/** A directory of its own under the system's temporary directory, removed with everything in it when disposed of. */
export class TemporaryDirectory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(label: string): Promise<TemporaryDirectory> {
    return new TemporaryDirectory(await realpath(await mkdtemp(join(tmpdir(), `narrowcast-${label}-`))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Directories in a Nix store are read-only, which stops anyone but root from emptying them.
    await runCommand(['chmod', '-R', 'u+w', this.path]);
    await mustRun(['rm', '-rf', this.path]);
  }
}
