import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const dir = mkdtempSync(join(tmpdir(), 'narrowcast-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** A path in a directory that goes when the test file has ended. */
export function scratch(name: string): string {
  return join(dir, name);
}

/** A file with this content there. */
export function scratchFile(content: string | Uint8Array, name = 'config.toml'): string {
  const file = scratch(name);
  writeFileSync(file, content);
  return file;
}
