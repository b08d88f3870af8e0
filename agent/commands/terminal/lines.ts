import { type Tone, toned } from './colours.ts';
import { printable } from './table.ts';

/** A piece of a line, with its meaning where it has one. */
export type Part = string | readonly [tone: Tone, text: string];
/** What stands in one row of the terminal. */
export type Line = readonly Part[];

/** A line, cut where columns are given, in colours where there are any; what could act on the terminal is written out. */
export function rendered(line: Line, columns = Number.POSITIVE_INFINITY): string {
  let room = columns;
  let text = '';
  for (const part of line) {
    const [tone, raw] = typeof part === 'string' ? [undefined, part] : part;
    const characters = [...printable(raw)];
    const shown =
      characters.length <= room
        ? characters.join('')
        : `${characters.slice(0, Math.max(0, room - 1)).join('')}…`;
    if (room > 0) text += tone === undefined ? shown : toned(tone, shown);
    room -= characters.length;
  }
  return text.trimEnd();
}
