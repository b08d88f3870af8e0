import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mustRun } from '../e2e/harness/run-command.ts';
import { TemporaryDirectory } from '../e2e/harness/temporary-directory.ts';
import { barChart } from './chart.ts';
import { toMarkdown } from './markdown.ts';
import { median, type Report, type Row, ratio, reached } from './report.ts';

test('the benchmark writes the documented JSON', async () => {
  await using directory = await TemporaryDirectory.create('bench');
  const json = join(directory.path, 'report.json');
  const main = join(import.meta.dirname, 'main.ts');
  const { PATH = '', HOME = directory.path } = process.env;
  const { stdout } = await mustRun([process.execPath, main, '--short', '--only', 'start', '--json', json], {
    env: { PATH, HOME },
  });

  const report: Report = JSON.parse(await readFile(json, 'utf8'));
  expect(report).toMatchObject({ short: true, rounds: 1, machine: { Node: process.versions.node } });
  expect(report.sections.map(({ name }) => name)).toEqual(['start']);
  const rows = report.sections.flatMap(({ rows }) => rows);
  expect(rows.map(({ what }) => what)).toEqual(['first answer, as packaged', 'first answer, npm start']);
  for (const { unit, relay, beside, aim } of rows) {
    expect(unit).toBe('ms');
    expect(aim).toMatchObject({ atMost: 300 });
    expect(relay).toHaveLength(3);
    expect(beside).toEqual([{ name: 'node -e 0', samples: expect.any(Array) }]);
    for (const ms of relay) expect(ms).toBeGreaterThan(10);
  }
  for (const { what } of rows) expect(stdout).toContain(`| ${what} | ms |`);
});

describe('figures', () => {
  const row = (relay: number[], samples: number[], aim: Row['aim']): Row => ({
    what: 'it',
    unit: 'MB/s',
    relay,
    beside: [{ name: 'other', samples }],
    ...(aim && { aim }),
  });

  test('are medians', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  test('are compared round by round', () => {
    // A round in which everything was ten times slower does not count for either.
    expect(ratio([5, 0.5, 5], [10, 1, 10])).toBe(0.5);
  });

  test('reach an aim, or miss it, or have none', () => {
    expect(reached(row([5], [10], { beside: 'other', atLeast: 0.5 }))).toBe(true);
    expect(reached(row([4], [10], { beside: 'other', atLeast: 0.5 }))).toBe(false);
    expect(reached(row([150], [], { atMost: 150 }))).toBe(true);
    expect(reached(row([151], [], { atMost: 150 }))).toBe(false);
    expect(reached(row([151], [], undefined))).toBe(undefined);
  });

  test('say what was tried beside each that falls short, once', () => {
    const aim = { atMost: 150, tried: 'Everything else.' };
    const rows = [
      row([151], [], aim),
      row([150], [], aim),
      row([152], [], { ...aim, tried: 'Nothing.' }),
      row([153], [], aim),
    ];
    const machine = {
      CPU: 'a',
      memory: 'b',
      system: 'c',
      Node: 'd',
      nginx: 'e',
      xz: 'f',
      zstd: 'g',
      wrk: 'h',
    };
    const text = toMarkdown({
      machine,
      short: true,
      rounds: 1,
      sections: [{ name: 'it', method: 'So.', rows }],
    });
    expect(text.match(/≤ 150: .*(?= \|)/g)).toEqual([
      '≤ 150: **missed** (1 below)',
      '≤ 150: reached',
      '≤ 150: **missed** (2 below)',
      '≤ 150: **missed** (1 below)',
    ]);
    expect(text.endsWith('\n1. Everything else.\n\n2. Nothing.\n')).toBe(true);
  });
});

test('a chart has a bar for each contestant of each row, and nothing of a name breaks it', () => {
  const beside = [{ name: 'a <b> & "c"', samples: [4, 2, 3] }];
  const rows = [1, 2].map((n) => ({ what: `row ${n}`, unit: 's', relay: [n], beside }));
  const svg = barChart('title', 's', rows);
  expect(svg.match(/<rect x="250" y="\d+" width/g)).toHaveLength(2 * 2 + 1);
  expect(svg).toContain('a &lt;b> &amp; &quot;c&quot;');
  expect(svg).toContain('>3.00 s<');
});
