import type { Measured } from './cell.ts';
import { isGood } from './matrix.ts';
import type { Requests } from './source.ts';
import { states } from './states.ts';

/** The tables of docs/world.md: one for each place. */
export function printMatrix(measured: readonly Measured[]): string {
  return Object.entries(titles)
    .map(([place, title]) => [title, measured.filter((cell) => cell.place === place)] as const)
    .filter(([, cells]) => cells.length > 0)
    .map(([title, cells]) => `### ${title}\n\n${printTable(cells)}`)
    .join('\n');
}

/** A cell's result: what Nix did, seconds, and requests at each layer. */
export function printCell({ outcome, ms, requests: { agent, lan, upstream } }: Measured): string {
  const word = outcome === 'fails' || outcome === 'hangs' ? `**${outcome}**` : outcome;
  return `${word} ${(ms / 1_000).toFixed(1)} s (${pair(agent)} → ${pair(lan)}, ${pair(upstream)})`;
}

/** How many cells there are, how many of them are good, and the slowest. */
export function printSummary(measured: readonly Measured[]): string {
  const count = (outcome: string) => measured.filter((cell) => cell.outcome === outcome).length;
  const slowest = Math.max(...measured.map(({ ms }) => ms)) / 1_000;
  return (
    `${measured.length} cells: ${count('substituted')} substituted, ${count('built')} built, ${count('fails')} failed, ` +
    `${count('hangs')} hung; ${measured.filter((cell) => !isGood(cell)).length} not as they must be; the slowest took ${slowest.toFixed(1)} s.`
  );
}

const titles = {
  LAN: 'The LAN source misbehaves, the upstream is honest',
  upstream: 'The upstream misbehaves, the LAN source is honest and does not have the path',
  both: 'Both misbehave',
};

function printTable(cells: readonly Measured[]): string {
  const rows = Map.groupBy(cells, ({ fault, subject }) => `${fault.name} | ${subject}`);
  const lines = [...rows].map(([row, inRow]) => {
    const columns = states.map((state) => inRow.find((cell) => cell.state === state));
    return `| ${row} | ${columns.map((cell) => (cell === undefined ? '' : printCell(cell))).join(' | ')} |`;
  });
  return [`| fault | of the | ${states.join(' | ')} |`, '|---|---|---|---|---|', ...lines, ''].join('\n');
}

function pair({ narinfo, nar }: Requests): string {
  return `${narinfo}+${nar}`;
}
