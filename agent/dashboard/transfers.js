/** @import { PeerStats, TransferStats } from '../http/stats-schema.ts' */
import { readableBytes, readablePart, readableTime } from './amounts.js';
import { nameOfPath, nameOfSource } from './names.js';
import { html } from './preact.js';

/**
 * What is being transferred.
 * @param {{ transfers: readonly TransferStats[], peers: readonly PeerStats[], lost: boolean }} props
 */
export function Transfers({ transfers, peers, lost }) {
  return html`
    <section aria-labelledby="transfers">
      <div class="title">
        <h2 id="transfers">Being transferred</h2>
        <span class="soft">${transfers.length > 0 && !lost && `${readableBytes(sum(transfers))}/s`}</span>
      </div>
      <ul class="transfers scroll" tabindex="0" aria-labelledby="transfers">
        ${transfers.map((transfer) => html`<${Transfer} key=${transfer.storePath} transfer=${transfer} peers=${peers} lost=${lost} />`)}
        ${transfers.length === 0 && html`<li class="empty">Nothing at the moment.</li>`}
      </ul>
    </section>`;
}

/** @param {{ transfer: TransferStats, peers: readonly PeerStats[], lost: boolean }} props */
function Transfer({ transfer, peers, lost }) {
  const { storePath, received, total, rate, source, clients } = transfer;
  const left = total === null || rate === 0 || lost ? undefined : (1_000 * (total - received)) / rate;
  const amount = total === null ? readableBytes(received) : readablePart(received, total);
  return html`
    <li>
      <div class="row">
        <span class="path long" title=${storePath}>${nameOfPath(storePath)}</span>
        <span>${left === undefined ? '' : `${readableTime(left)} left`}</span>
      </div>
      <progress aria-label=${nameOfPath(storePath)} max=${total ?? 1} value=${total === null ? undefined : received}></progress>
      <div class="row figures">
        <span>${amount}${lost || `, ${readableBytes(rate)}/s`}</span>
        <span class="long">${source === null ? 'looking for another source' : nameOfSource(source, peers)}${clients === 0 && ', for later'}</span>
      </div>
    </li>`;
}

/** @param {readonly TransferStats[]} transfers */
function sum(transfers) {
  return transfers.reduce((all, { rate }) => all + rate, 0);
}
