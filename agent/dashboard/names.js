/** @import { PeerStats } from '../http/stats-schema.ts' */

/**
 * A store path's name without directory and hash; anything else as it is.
 * @param {string} path
 */
export function nameOfPath(path) {
  return /\/[0-9a-z]{32}-([^/]+)$/.exec(path)?.[1] ?? path;
}

/**
 * A source as people call it: a peer by its name, others by host and path.
 * @param {string | null} id
 * @param {readonly PeerStats[]} peers
 */
export function nameOfSource(id, peers) {
  if (id === null) return '–';
  if (id === 'disk') return 'this disk';
  return peers.find(({ url }) => isSame(url, id))?.name ?? id.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

/**
 * Whether two URLs, as the agent prints them, are those of one cache.
 * @param {string} a
 * @param {string} b
 */
export function isSame(a, b) {
  return a.replace(/\/$/, '') === b.replace(/\/$/, '');
}
