import { type Tone, toned } from '../terminal/colours.ts';
import { printable } from '../terminal/table.ts';
import { wrap } from '../terminal/wrap.ts';
import type { Examined } from './examine.ts';
import type { Verdict } from './finding.ts';

const marks: Record<Verdict, readonly [sign: string, tone: Tone]> = {
  ok: ['✓', 'good'],
  warning: ['!', 'doubtful'],
  fault: ['✗', 'bad'],
  skipped: ['-', 'faint'],
};

/** All checks as people see them, in so many columns. */
export function report(all: readonly Examined[], columns: number): string {
  const widest = Math.max(...all.map(({ name }) => name.length));
  // On a narrow terminal what was found stands below the name.
  const beside = columns >= widest + 48;
  return all.map((one) => entry(one, columns, beside ? widest : 0)).join('');
}

function entry({ name, finding }: Examined, columns: number, column: number): string {
  const { verdict, fact, cure, nixos } = finding;
  const [sign, tone] = marks[verdict];
  const indent = ' '.repeat(column === 0 ? 4 : column + 4);
  const room = Math.max(20, columns - indent.length - 1);
  const facts = wrap(printable(fact), room);
  const cures = [...cure, ...(nixos === undefined ? [] : [`on NixOS: ${nixos}`])];
  const heading = `${toned(tone, sign)} ${toned('strong', name)}`;
  const lines =
    column === 0
      ? [heading, ...facts.map((line) => indent + line)]
      : facts.map((line, n) =>
          n === 0 ? `${heading}${' '.repeat(column - name.length + 2)}${line}` : indent + line,
        );
  const mending = cures.flatMap((line) =>
    wrap(printable(line), room - 2).map((part, n) => `${indent}${n === 0 ? toned(tone, '→') : ' '} ${part}`),
  );
  return [...lines, ...mending].map((line) => `${line}\n`).join('');
}
