/** @import { Condition } from './state.js' */
/** @import { NetworkStats, Stats } from '../http/stats-schema.ts' */
import { readableTime, timeOfDay } from './amounts.js';
import { html } from './preact.js';

/** @type {Record<NetworkStats['state'], [mood: string, words: string]>} */
const networks = {
  home: ['good', 'At home: a cache on the LAN is up'],
  away: ['good', 'Away: no cache on the LAN'],
  captive: ['poor', 'Captive: the network wants a login'],
  offline: ['bad', 'Offline: no network'],
};

/**
 * The agent's name, version and network, and whether it answers.
 * @param {{ stats: Stats | undefined, condition: Condition, heardAt: number, now: number }} props
 */
export function Head({ stats, condition, heardAt, now }) {
  const [mood, words] =
    stats === undefined
      ? ['', 'Network unknown']
      : condition === 'lost'
        ? ['', 'These are its last figures']
        : networks[stats.network.state];
  const addresses = stats?.network.addresses.map((one) => `${one.interface} ${one.address}`).join(', ');
  return html`
    <header>
      <h1>narrowcast</h1>
      <span class=${`state network ${mood}`} title=${addresses}>${words}</span>
      <span class="facts">${stats && `${stats.version}, up ${readableTime((condition === 'lost' ? heardAt : now) - Date.parse(stats.startedAt))}`}</span>
      <span class="connection"><${Connection} condition=${condition} heardAt=${heardAt} /></span>
    </header>`;
}

/** @param {{ condition: Condition, heardAt: number }} props */
function Connection({ condition, heardAt }) {
  if (condition === 'live') return html`<span class="state good">live</span>`;
  if (condition === 'polling') return html`<span class="state good">live, every 2 s</span>`;
  if (condition === 'connecting') return html`<span class="state">connecting</span>`;
  return html`<span class="state bad">not answering</span>${heardAt > 0 && ` since ${timeOfDay(heardAt)}`}`;
}
