import type { Stats } from '../../http/stats-schema.ts';
import { counted, readableBytes } from '../terminal/amounts.ts';
import { bar } from '../terminal/display.ts';
import type { Line } from '../terminal/lines.ts';
import { bytesLines } from './bytes.ts';
import { sourcesLines } from './sources.ts';
import { transfersLines } from './transfers.ts';
import { uploadsLines } from './uploads.ts';

/** Everything on one screen: the most important first, for a terminal may be too low for all of it. */
export function statusLines(stats: Stats, now: Date, columns: number): Line[] {
  const { version, uptimeMs, startedAt } = stats;
  return [
    [['strong', `narrowcast ${version}`], ` up ${span(uptimeMs)}`, ...since(startedAt, columns)],
    ...networkLines(stats),
    ...cacheLines(stats, columns),
    ...uploadsLines(stats, now, columns),
    [],
    ...transfersLines(stats, columns),
    [],
    ...bytesLines(stats, now, columns),
    [],
    ...sourcesLines(stats, columns),
  ];
}

function since(startedAt: string, columns: number): Line {
  return columns < 60 ? [] : [['faint', `, since ${startedAt.slice(0, 16).replace('T', ' ')} UTC`]];
}

function networkLines({ network: { state, addresses }, peers }: Stats): Line[] {
  const up = peers.filter((peer) => peer.state === 'up').length;
  const troubles = addresses.flatMap(({ interface: name, mdnsTrouble }) =>
    mdnsTrouble === null ? [] : [`mDNS does not work on ${name}: ${mdnsTrouble}`],
  );
  const states: Record<typeof state, Line> = {
    home: [['good', 'at home'], `, ${counted(up, 'cache')} on the LAN`],
    away: ['away, no cache on the LAN'],
    offline: [['doubtful', 'offline'], ': what is kept is served'],
    captive: [['doubtful', 'captive'], ': this network wants a login'],
  };
  return [
    [['strong', 'network'], '   ', ...states[state]],
    ...[...new Set(troubles)].map((trouble): Line => ['          ', ['doubtful', trouble]]),
  ];
}

function cacheLines(
  { cache: { bytes, maxBytes, paths, quarantined, disk } }: Stats,
  columns: number,
): Line[] {
  const limit = maxBytes === 0 ? '' : ` of ${readableBytes(maxBytes)}`;
  const free = disk.free === undefined || columns < 60 ? '' : `, ${readableBytes(disk.free)} free`;
  const fill = maxBytes === 0 ? '' : `${bar(bytes, maxBytes, 10)} `;
  return [
    [
      ['strong', 'cache'],
      `     ${fill}${readableBytes(bytes)}${limit}${columns < 60 ? '' : `, ${counted(paths, 'path')}`}${free}`,
    ],
    ...(disk.condition === 'ok'
      ? []
      : [['          ', ['bad', `${disk.condition}: ${disk.message ?? 'nothing is stored'}`]] as Line]),
    ...(quarantined === 0
      ? []
      : [['          ', ['doubtful', `${counted(quarantined, 'damaged NAR')} set aside`]] as Line]),
  ];
}

function span(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1_000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
