import type { Stats } from '../../http/stats-schema.ts';
import { readableBytes } from '../terminal/amounts.ts';
import type { Tone } from '../terminal/colours.ts';
import type { Line } from '../terminal/lines.ts';
import { wrap } from '../terminal/wrap.ts';

type Source = Stats['sources'][number];

const signs: Record<Source['health'], readonly [tone: Tone, sign: string]> = {
  up: ['good', '✓'],
  unknown: ['faint', '?'],
  captive: ['doubtful', '!'],
  down: ['bad', '✗'],
};

/** Each source with its health and speed, and the peers that are no source now. */
export function sourcesLines({ sources, peers }: Pick<Stats, 'sources' | 'peers'>, columns: number): Line[] {
  const idle = peers.filter(
    ({ state, url }) => state !== 'up' && !sources.some(({ id }) => sameUrl(id, url)),
  );
  const widest = Math.max(0, ...sources.map(({ id }) => id.length), ...idle.map(({ name }) => name.length));
  const width = Math.min(widest, Math.max(20, columns - 32));
  return [
    [['strong', 'sources']],
    ...sources.flatMap((source) => ofSource(source, nameOf(source, peers), width, columns)),
    ...idle.flatMap(({ name, state, reason }) => [
      [state === 'down' ? signs.down : signs.unknown, ` ${name.padEnd(width)}  `, ['faint', 'LAN']] as Line,
      ...indented(reason, columns),
    ]),
    ...(sources.length + idle.length === 0 ? [['none is configured, and none is known on the LAN']] : []),
  ];
}

function ofSource(source: Source, name: string | undefined, width: number, columns: number): Line[] {
  const { id, reach, health, reason, latencyMs, bytesPerSecond } = source;
  const place = { lan: 'LAN', disk: 'disk', upstream: 'upstream' }[reach];
  const latency = latencyMs === null ? '' : `${latencyMs.toFixed(latencyMs < 10 ? 1 : 0)} ms`;
  const speed = bytesPerSecond === null ? '' : `${readableBytes(bytesPerSecond)}/s`;
  const figures = `${place.padEnd(8)} ${latency.padStart(7)} ${speed.padStart(10)}`;
  const beside = columns >= width + 4 + figures.length;
  return [
    [signs[health], ` ${id.padEnd(width)}`, ...(beside ? [['faint', `  ${figures}`] as const] : [])],
    ...(beside ? [] : [['    ', ['faint', [place, latency, speed].filter(Boolean).join(', ')]] as Line]),
    ...indented(name, columns),
    ...indented(reason, columns),
  ];
}

function indented(text: string | null | undefined, columns: number): Line[] {
  if (text === null || text === undefined) return [];
  return wrap(text, Math.max(20, columns - 5)).map((line) => ['    ', ['faint', line]]);
}

/** What a source on the LAN calls itself. */
function nameOf({ id }: Source, peers: Stats['peers']): string | undefined {
  const peer = peers.find(({ url }) => sameUrl(id, url));
  return peer === undefined || peer.origin === 'static' ? undefined : peer.name;
}

function sameUrl(a: string, b: string): boolean {
  return a.replace(/\/$/, '') === b.replace(/\/$/, '');
}
