/** @import { Condition } from './state.js' */
/** @import { Stats } from '../http/stats-schema.ts' */
import { nameOfSource } from './names.js';

/**
 * What a screen reader should say of a change: peers that come and go, sources that fail, another network.
 * @param {Stats | undefined} before
 * @param {Stats | undefined} now
 * @returns {string[]}
 */
export function news(before, now) {
  if (before === undefined || now === undefined || before === now) return [];
  const said = [];
  if (before.network.state !== now.network.state) said.push(`The network is now: ${now.network.state}`);
  for (const peer of now.peers) {
    const former = before.peers.find(({ url }) => url === peer.url);
    if (former?.state !== peer.state) said.push(`${peer.name} on the LAN is ${peer.state}`);
  }
  for (const peer of before.peers) {
    if (!now.peers.some(({ url }) => url === peer.url)) said.push(`${peer.name} has left the LAN`);
  }
  for (const source of now.sources) {
    const former = before.sources.find(({ id }) => id === source.id);
    if (source.reach !== 'lan' && former !== undefined && former.health !== source.health)
      said.push(`${nameOfSource(source.id, [])} is ${source.health}`);
  }
  return said;
}

/** @type {Record<Condition, string>} */
export const newsOfCondition = {
  connecting: '',
  live: 'The agent answers',
  polling: 'The agent answers',
  lost: 'The agent does not answer; these are its last figures',
};
