/** @import { StatsEvent } from '../http/event-schema.ts' */
/** @import { Condition } from './state.js' */

/** All in ms. */
const pollEvery = 2_000;
const patience = 5_000;
const eventsAgainAfter = 15_000;

const types = [
  'snapshot',
  'request',
  'rejection',
  'transfer',
  'transfer-end',
  'source',
  'source-gone',
  'peer',
  'peer-gone',
  'cache',
  'counters',
  'network',
];

/**
 * Follows the agent for as long as the page is open: by /events and, while those do not come, by asking for /stats. Returns how to
 * hear everything anew.
 * @param {{ hear: (event: StatsEvent) => void, become: (condition: Condition) => void }} listener
 */
export function follow({ hear, become }) {
  /** @type {EventSource | undefined} */
  let events;
  let triedAt = 0;

  function listen() {
    events?.close();
    triedAt = Date.now();
    events = new EventSource('/events');
    events.addEventListener('error', poll);
    for (const type of types) {
      events.addEventListener(type, ({ data }) => {
        become('live');
        hear(JSON.parse(data));
      });
    }
  }

  async function poll() {
    if (events?.readyState === EventSource.OPEN) return;
    // Where it was told that there are no events, a browser does not ask again.
    if (events?.readyState === EventSource.CLOSED && Date.now() - triedAt > eventsAgainAfter) listen();
    try {
      const response = await fetch('/stats?since=1970-01-01T00:00:00.000Z', {
        signal: AbortSignal.timeout(patience),
      });
      if (!response.ok) throw new Error(`/stats answered ${response.status}`);
      const stats = await response.json();
      if (events?.readyState === EventSource.OPEN) return;
      become('polling');
      hear({ type: 'snapshot', stats, recent: stats.recent });
    } catch {
      if (events?.readyState !== EventSource.OPEN) become('lost');
    }
  }

  listen();
  setInterval(poll, pollEvery);
  return listen;
}
