/** Rows under a heading, in columns as wide as they must be; whatever could act on the terminal is written out. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows.map((row) => row.map(printable))];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => lengthOf(row[column] ?? ''))));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - lengthOf(cell))).join('  ');
  return all.map((row) => `${line(row).trimEnd()}\n`).join('');
}

/** The text with all that is no plain character (controls, text direction, line ends, half characters) written as `\u{…}`. */
export function printable(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{C}\p{Zl}\p{Zp}\\]/gu, (character) =>
      character === '\\' ? '\\\\' : `\\u{${character.codePointAt(0)?.toString(16)}}`,
    );
}

/** In characters, as terminals count most of them. */
function lengthOf(text: string): number {
  return [...text].length;
}
