import { median, type Report, type Row, ratio, reached, type Section } from './report.ts';

/** A report as Markdown: the machine, then a table for each measure. Medians of the rounds; ratios in brackets. */
export function toMarkdown({ machine, sections }: Report): string {
  const facts = Object.entries(machine).map(([name, value]) => `- ${name}: ${value}`);
  return [...facts, '', ...sections.map(sectionText)].join('\n');
}

function sectionText({ name, method, rows }: Section): string {
  return [
    `## ${name}`,
    '',
    method,
    '',
    '| what | unit | narrowcast | beside it (narrowcast ÷ it) | aim |',
    '|---|---|--:|---|---|',
    ...rows.map(rowText),
    '',
  ].join('\n');
}

function rowText(row: Row): string {
  const others = row.beside.map(
    ({ name, samples }) => `${name} ${number(median(samples))} (${ratio(row.relay, samples).toFixed(2)})`,
  );
  return `| ${row.what} | ${row.unit} | ${number(median(row.relay))} | ${others.join('; ')} | ${aimText(row)} |`;
}

function aimText(row: Row): string {
  if (row.aim === undefined) return '';
  const { atLeast, atMost, beside } = row.aim;
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  const times = beside === undefined ? '' : ` × ${beside}`;
  return `${bound}${times}: ${reached(row) ? 'reached' : '**missed**'}`;
}

function number(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: value < 1_000 ? 3 : 4 });
}
