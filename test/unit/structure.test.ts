import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '../..');

/** The floors of DESIGN section 2, ground first. What stands on one line may not import its neighbours either, only itself. */
const floors: readonly (readonly string[])[] = [
  ['agent/nix/', 'agent/version.ts'],
  ['agent/telemetry/'],
  ['agent/config/'],
  ['agent/source/', 'agent/cache/', 'discovery/'],
  ['agent/relay/', 'agent/upload/', 'agent/push/'],
  ['agent/http/', 'agent/dashboard/'],
  ['agent/parts/'],
  ['agent/agent.ts'],
  ['agent/commands/'],
  ['agent/command-line.ts'],
  ['agent/run.ts'],
  ['agent/main.ts'],
];

const files = globSync(['agent/**/*.ts', 'discovery/**/*.ts'], { cwd: root }).filter(
  (file) => !file.endsWith('.d.ts'),
);

function importsOf(file: string): string[] {
  const text = readFileSync(path.join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.{1,2}\/[^']+)'/g)]
    .map(([, target = '']) => path.join(path.dirname(file), target))
    .filter((target) => target.endsWith('.ts'));
}

function floorOf(file: string): { floor: number; room: string } {
  for (const [floor, rooms] of floors.entries()) {
    const room = rooms.find((start) => file.startsWith(start));
    if (room !== undefined) return { floor, room };
  }
  throw new Error(`${file} stands on no floor`);
}

function circleFrom(start: string, graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const clear = new Set<string>();
  const visit = (file: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (clear.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...way, file]);
      if (circle !== undefined) return circle;
    }
    clear.add(file);
    return undefined;
  };
  return visit(start, []);
}

describe('the structure', () => {
  it('has every file on a floor', () => {
    expect(files.length).toBeGreaterThan(50);
    for (const file of files) floorOf(file);
  });

  it('imports downwards only', () => {
    const upwards = files.flatMap((file) => {
      const { floor, room } = floorOf(file);
      return importsOf(file)
        .filter((target) => {
          const below = floorOf(target);
          return below.room !== room && below.floor >= floor;
        })
        .map((target) => `${file} -> ${target}`);
    });
    expect(upwards).toEqual([]);
  });

  it('has no circle', () => {
    const graph = new Map(files.map((file) => [file, importsOf(file)]));
    expect(files.map((file) => circleFrom(file, graph)).filter(Boolean)).toEqual([]);
  });

  it('keeps discovery free of the agent', () => {
    const foreign = files
      .filter((file) => file.startsWith('discovery/'))
      .flatMap(importsOf)
      .filter((target) => !target.startsWith('discovery/'));
    expect(foreign).toEqual([]);
  });
});
