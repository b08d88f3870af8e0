import type { Stats } from '../../http/stats-schema.ts';
import { readableBytes, readableTime } from '../terminal/amounts.ts';
import { bar } from '../terminal/display.ts';
import type { Line, Part } from '../terminal/lines.ts';

type Transfer = Stats['transfers'][number];

/** Characters from the last slash of a store path to its name. */
const toName = 34;

/** More than these would push everything else off the screen. */
const shown = 6;

/** The transfers that run: how far each is, how fast, how long it will take, and where from. */
export function transfersLines({ transfers }: Pick<Stats, 'transfers'>, columns: number): Line[] {
  if (transfers.length === 0) return [[['strong', 'transfers'], ' none']];
  const more = transfers.length - shown;
  return [
    [['strong', 'transfers']],
    ...transfers.slice(0, shown).flatMap((transfer) => ofTransfer(transfer, columns)),
    ...(more > 0 ? [[`  and ${more} more`]] : []),
  ];
}

function ofTransfer({ storePath, received, total, rate, source }: Transfer, columns: number): Line[] {
  const name = storePath.slice(storePath.lastIndexOf('/') + toName);
  const from: Part = ['faint', source === null ? 'waiting for a source' : `from ${source}`];
  const left =
    total === null || rate === 0 ? '' : `, ${readableTime(((total - received) * 1_000) / rate)} left`;
  const amount = `${readableBytes(received)}${total === null ? '' : ` of ${readableBytes(total)}`}`;
  const pace = `${amount}, ${readableBytes(rate)}/s${left}`;
  const wide = columns >= 60;
  const width = wide ? 20 : 10;
  const progress = total === null ? ' '.repeat(width + 2) : bar(received, total, width);
  if (wide) return [[`  ${progress} ${pace}`], [`  ${' '.repeat(width + 2)} `, ['strong', name], ' ', from]];
  return [['  ', ['strong', name]], [`    ${pace}`], [`    ${progress}`], ['    ', from]];
}
