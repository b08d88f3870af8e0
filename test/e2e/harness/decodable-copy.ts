import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Fixture, hashPartOf } from '../../fixtures/closure.ts';
import { mustRun } from './run-command.ts';
import { withFields } from './spoiled-narinfo.ts';

/** Copies a fixture's cache to `directory`, with the NARs that narrowcast cannot decode, and so does not keep, unpacked. */
export async function decodableCopy(fixture: Fixture, directory: string): Promise<Fixture> {
  await mustRun(['cp', '-r', fixture.dir, directory]);
  const paths = fixture.paths.map(async (path) => {
    if (path.compression !== 'bzip2') return path;
    const url = path.url.replace(/\.bz2$/, '');
    await mustRun(['sh', '-c', 'bzip2 -dc "$0" > "$1"', join(directory, path.url), join(directory, url)]);
    const narinfo = join(directory, `${hashPartOf(path.path)}.narinfo`);
    const fields = { URL: url, Compression: 'none', FileHash: undefined, FileSize: String(path.narSize) };
    await writeFile(narinfo, withFields(await readFile(narinfo, 'utf8'), fields));
    return { ...path, url, compression: 'none', fileSize: path.narSize };
  });
  return { ...fixture, dir: directory, paths: await Promise.all(paths) };
}
