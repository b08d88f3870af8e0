/** @import { Rates } from './rates.js' */
/** @import { Condition, Known } from './state.js' */
import { Cache } from './cache.js';
import { FlowSection } from './flow.js';
import { Head } from './head.js';
import { html } from './preact.js';
import { Rejections } from './rejections.js';
import { Requests } from './requests.js';
import { Sources } from './sources.js';
import { Summary } from './summary.js';
import { daysUpTo, uploadsToday } from './today.js';
import { Transfers } from './transfers.js';

/**
 * All that is shown.
 * @param {{ known: Known, rates: Rates, condition: Condition, heardAt: number, now: number, said: readonly { number: number, text: string }[] }} props
 */
export function Page({ known, rates, condition, heardAt, now, said }) {
  const { stats, requests, rejections } = known;
  const { peers = [], transfers = [] } = stats ?? {};
  return html`
    <${Head} stats=${stats} condition=${condition} heardAt=${heardAt} now=${now} />
    <main class=${condition === 'lost' ? 'stale' : ''}>
      <${Summary} known=${known} now=${now} />
      <${FlowSection} rates=${rates} history=${daysUpTo(known, now)} />
      <${Transfers} transfers=${transfers} peers=${peers} lost=${condition === 'lost'} />
      <${Sources} stats=${stats} />
      <${Cache} cache=${stats?.cache} uploads=${uploadsToday(known, now)} />
      <${Rejections} rejections=${rejections} peers=${peers} />
      <${Requests} requests=${requests} peers=${peers} />
    </main>
    <div class="sr" role="log" aria-label="Changes">
      ${said.map(({ number, text }) => html`<p key=${number}>${text}</p>`)}
    </div>`;
}
