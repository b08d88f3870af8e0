import type { ExplainedFile, ExplainedSource, Explanation } from '../../relay/explanation.ts';
import { counted, readableBytes } from '../terminal/amounts.ts';
import { type Tone, toned } from '../terminal/colours.ts';
import { printable } from '../terminal/table.ts';
import { wrap } from '../terminal/wrap.ts';

const marks: Record<ExplainedSource['verdict'], readonly [sign: string, tone: Tone]> = {
  chosen: ['→', 'good'],
  spare: ['✓', 'good'],
  refused: ['✗', 'bad'],
  absent: ['-', 'faint'],
  unknown: ['?', 'doubtful'],
};
const worths = { trusted: '✓', unknown: 'unknown key', wrong: 'WRONG' } as const;

/**
 * The explanation as people see it, in so many columns.
 * @param inStore names of the path in the store of this machine
 */
export function explanationText(
  { hashPart, path, stored, from, sources }: Explanation,
  inStore: readonly string[],
  columns: number,
): string {
  const lines = (text: string, indent = '') =>
    wrap(printable(text), Math.max(20, columns - indent.length - 1)).map((line) => `${indent}${line}\n`);
  const entry = (sign: string, tone: Tone, name: string, facts: readonly string[]) => [
    `${toned(tone, sign)} ${toned('strong', printable(name))}\n`,
    ...facts.flatMap((fact) => lines(fact, '    ')),
  ];
  const cached = stored === null ? [] : entry('→', 'good', 'the cache directory', [fileText(stored)]);
  return [
    `${toned('strong', printable(path?.storePath ?? hashPart))}\n`,
    ...lines(
      path === null ? 'Nobody who can be asked has it, or nothing that may be believed.' : pathText(path),
    ),
    ...inStore.map(
      (name) => `Nix does not ask for it: ${printable(name)} is in the store of this machine.\n`,
    ),
    ...lines(
      `It would come from ${from === null ? 'nowhere' : from === 'disk' ? 'the cache directory' : from}.`,
    ),
    '\n',
    ...cached,
    ...sources.flatMap(({ verdict, id, why, file }) => {
      const [sign, tone] = marks[verdict];
      return entry(sign, tone, id, [why, ...(file === null ? [] : [fileText(file)])]);
    }),
    ...(sources.length === 0 ? ['No source is known.\n'] : []),
  ].join('');
}

function pathText({ narSize, references, trustedBy }: NonNullable<Explanation['path']>): string {
  const by = trustedBy === 'content address' ? 'by its content address' : `as signed by ${trustedBy}`;
  return `${readableBytes(narSize)} unpacked, ${counted(references, 'reference')}, believed ${by}.`;
}

function fileText({ compression, fileSize, signatures }: ExplainedFile): string {
  const size = fileSize === null ? 'size unknown' : readableBytes(fileSize);
  const signed = signatures.map(({ key, worth }) => `${key} (${worths[worth]})`).join(', ');
  return `${compression === 'none' ? 'uncompressed' : compression}, ${size}; ${signed === '' ? 'unsigned' : `signed by ${signed}`}`;
}
