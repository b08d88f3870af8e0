import { readFile, stat } from 'node:fs/promises';
import { type Finding, fault, ok } from './finding.ts';

/** Whether the file with passwords can be read, and not by everybody; `file` is undefined where none is named. */
export async function checkNetrc(file: string | undefined): Promise<Finding> {
  if (file === undefined) return ok('No netrc-file is named.');
  try {
    const { mode } = await stat(file);
    if ((mode & 0o004) !== 0)
      return fault(`The passwords in ${file} can be read by every user.`, { cure: `run: chmod o= ${file}` });
    await readFile(file);
    return ok(`${file} can be read, and not by everybody.`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return fault(`The netrc-file ${file} cannot be read: ${code}.`, {
      cure: [`see: ls -l ${file}`, 'correct netrc-file in the configuration of narrowcast'],
      nixos: 'services.narrowcast.settings.netrc-file',
    });
  }
}
