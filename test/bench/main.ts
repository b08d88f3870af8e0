import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { barChart } from './chart.ts';
import { describeMachine } from './machine.ts';
import { toDocument, toMarkdown } from './markdown.ts';
import { cache } from './measures/cache.ts';
import { closure } from './measures/closure.ts';
import { cuts } from './measures/cuts.ts';
import { growth } from './measures/growth.ts';
import { idle } from './measures/idle.ts';
import { lookups } from './measures/lookups.ts';
import { memory } from './measures/memory.ts';
import { nar } from './measures/nar.ts';
import { narinfo } from './measures/narinfo.ts';
import { start } from './measures/start.ts';
import { watched } from './measures/watched.ts';
import { parseOptions } from './options.ts';
import type { Report, Section } from './report.ts';

const measures = [start, narinfo, lookups, closure, growth, nar, cache, memory, cuts, watched, idle];
const docs = join(import.meta.dirname, '../../docs/benchmarks.md');
const chart = join(import.meta.dirname, '../../docs/benchmarks.svg');

const { json, only, short, rounds, writeDocs, against } = parseOptions(process.argv.slice(2));
const chosen = measures.filter(({ name }) => only === undefined || name === only);
if (chosen.length === 0) {
  process.stderr.write(`--only ${only}: there are ${measures.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}

const machine = await describeMachine();
const sections: Section[] = [];
for (const measure of chosen) {
  process.stderr.write(`measuring ${measure.name} …\n`);
  sections.push(await measure.take({ short, rounds, against }));
  // After each, for a whole run takes half an hour, which a failure at its end should not cost.
  await keep({ machine, short, rounds, sections });
}
process.stdout.write(toMarkdown({ machine, short, rounds, sections }));

async function keep(report: Report): Promise<void> {
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (!writeDocs) return;
  await writeFile(docs, toDocument(report));
  const cold = report.sections
    .flatMap(({ name, rows }) => (name === 'closure' ? rows : []))
    .filter(({ what, beside }) => what.endsWith(': cold') && beside.length > 1);
  const title = 'A closure through real Nix, nothing at hand: seconds, less is better';
  if (cold.length > 0) await writeFile(chart, barChart(title, 's', cold));
}
