import { median, type Row } from './report.ts';

const width = 760;
const labelWidth = 250;
const barHeight = 12;
const groupGap = 14;
const colours = ['#2f7d5b', '#8a8f98', '#c3a25b', '#7a6ea8', '#b0685e'];

/** Rows of one unit as an SVG of horizontal bars: for each row the relay's first, then those of the others. Readable on light and dark. */
export function barChart(title: string, unit: string, rows: readonly Row[]): string {
  const names = ['narrowcast', ...new Set(rows.flatMap(({ beside }) => beside.map(({ name }) => name)))];
  const groups = rows.map(({ what, relay, beside }) => ({
    what,
    bars: [
      { name: 'narrowcast', value: median(relay) },
      ...beside.map(({ name, samples }) => ({ name, value: median(samples) })),
    ],
  }));
  const longest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const scale = (width - labelWidth - 70) / longest;
  const parts: string[] = [];
  let y = 52;
  for (const { what, bars } of groups) {
    const middle = y + (bars.length * barHeight) / 2 + 4;
    parts.push(text(labelWidth - 10, middle, what, 'end'));
    for (const { name, value } of bars) {
      const length = Math.max(1, value * scale).toFixed(1);
      const colour = colours[names.indexOf(name) % colours.length];
      parts.push(
        `<rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight - 2}" fill="${colour}"/>`,
        text(labelWidth + Number(length) + 6, y + barHeight - 3, `${value.toPrecision(3)} ${unit}`),
      );
      y += barHeight;
    }
    y += groupGap;
  }
  const legend = names.map((name, n) => {
    const x = labelWidth + n * 150;
    const square = `<rect x="${x}" y="30" width="10" height="10" fill="${colours[n % colours.length]}"/>`;
    return square + text(x + 16, 39, name);
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" role="img" aria-label="${escaped(title)}" font-family="sans-serif" font-size="11" fill="#777">`,
    `<text x="10" y="18" font-size="13" font-weight="bold">${escaped(title)}</text>`,
    ...legend,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function text(x: number, y: number, words: string, anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}">${escaped(words)}</text>`;
}

function escaped(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
}
