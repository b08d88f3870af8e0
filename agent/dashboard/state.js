/** @import { StatsEvent } from '../http/event-schema.ts' */
/** @import { FinishedRequest, Rejection, Stats } from '../http/stats-schema.ts' */

/**
 * What the page knows of the agent.
 * @typedef {object} Known
 * @property {Stats | undefined} stats undefined until the first answer
 * @property {Stats | undefined} first as they were in the last whole answer
 * @property {readonly FinishedRequest[]} requests newest first
 * @property {readonly Rejection[]} rejections newest first
 */

/**
 * How the agent is heard: `live` by events, `polling` where events do not come through, `lost` when it does not answer.
 * @typedef {'connecting' | 'live' | 'polling' | 'lost'} Condition
 */

const maxRequests = 500;
const maxRejections = 100;

/** @type {Known} */
export const nothingKnown = { stats: undefined, first: undefined, requests: [], rejections: [] };

/**
 * What is known once the agent has said this too.
 * @param {Known} known
 * @param {StatsEvent} event
 * @returns {Known}
 */
export function told(known, event) {
  if (event.type === 'snapshot') {
    const { stats, recent } = event;
    return {
      stats,
      first: stats,
      requests: recent.requests.toReversed(),
      rejections: recent.rejections.toReversed(),
    };
  }
  if (event.type === 'request')
    return { ...known, requests: [event.request, ...known.requests].slice(0, maxRequests) };
  if (event.type === 'rejection')
    return { ...known, rejections: [event.rejection, ...known.rejections].slice(0, maxRejections) };
  return known.stats === undefined ? known : { ...known, stats: changed(known.stats, event) };
}

/**
 * @param {Stats} stats
 * @param {StatsEvent} event
 * @returns {Stats}
 */
function changed(stats, event) {
  switch (event.type) {
    case 'transfer':
      return { ...stats, transfers: put(stats.transfers, event.transfer, ({ storePath }) => storePath) };
    case 'transfer-end':
      return {
        ...stats,
        transfers: stats.transfers.filter(({ storePath }) => storePath !== event.storePath),
      };
    case 'source':
      return { ...stats, sources: put(stats.sources, event.source, ({ id }) => id) };
    case 'source-gone':
      return { ...stats, sources: stats.sources.filter(({ id }) => id !== event.id) };
    case 'peer':
      return { ...stats, peers: put(stats.peers, event.peer, ({ url }) => url) };
    case 'peer-gone':
      return { ...stats, peers: stats.peers.filter(({ url }) => url !== event.url) };
    case 'cache':
      return { ...stats, cache: event.cache };
    case 'counters':
      return { ...stats, sinceStart: event.sinceStart, totals: event.totals, latency: event.latency };
    case 'network':
      return { ...stats, network: event.network };
    default:
      return stats;
  }
}

/**
 * The list with this one in the place of its former self, or at the end.
 * @template T
 * @param {T[]} list
 * @param {T} one
 * @param {(one: T) => string} name
 */
function put(list, one, name) {
  const at = list.findIndex((other) => name(other) === name(one));
  return at < 0 ? [...list, one] : list.with(at, one);
}
