/** @import { CacheStats } from '../http/stats-schema.ts' */
/** @import { Counts } from '../telemetry/counts-schema.ts' */
import { readableBytes, readableCount, readableShare } from './amounts.js';
import { html } from './preact.js';

const conditions = {
  ok: 'writable',
  full: 'full',
  'read-only': 'read-only',
  locked: 'used by another process',
  failing: 'failing',
};

/**
 * How full the cache directory is, how it fares, and what came into it by uploads where there are any.
 * @param {{ cache: CacheStats | undefined, uploads: Counts['uploads'] | undefined }} props
 */
export function Cache({ cache, uploads }) {
  const fact = (/** @type {string} */ name, /** @type {unknown} */ value) =>
    html`<div><dt>${name}</dt><dd>${cache === undefined ? '–' : value}</dd></div>`;
  return html`
    <section aria-labelledby="cache">
      <div class="title">
        <h2 id="cache">Cache directory</h2>
        ${cache && html`<span class=${`state ${cache.disk.condition === 'ok' ? 'good' : 'bad'}`}>${conditions[cache.disk.condition]}</span>`}
      </div>
      <p class="fill">
        <strong>${cache ? readableBytes(cache.bytes) : '–'}</strong>
        ${' '}${cache && (cache.maxBytes > 0 ? `of ${readableBytes(cache.maxBytes)}, ${readableShare(cache.bytes, cache.maxBytes)} full` : 'without a limit')}
      </p>
      <progress aria-label="Cache directory" max=${cache?.maxBytes || 1} value=${cache?.maxBytes ? cache.bytes : 0}></progress>
      <dl class="pairs">
        ${fact('Store paths', cache && readableCount(cache.paths))}
        ${fact('Free on disk', cache?.disk.free === undefined ? '–' : readableBytes(cache.disk.free))}
        ${fact('Unfinished', cache && readableBytes(cache.partial.bytes))}
        ${fact('Removed for space or age', cache && readableCount(cache.evictions))}
        ${fact('Set aside as wrong', cache && readableCount(cache.quarantined))}
        ${fact('Not stored', cache && readableCount(cache.refusedWrites))}
        ${uploads && fact('Uploaded today', uploaded(uploads))}
        ${uploads && fact('Not taken today', refused(uploads))}
      </dl>
      ${cache?.disk.message && html`<p class="why">${cache.disk.message}</p>`}
    </section>`;
}

/** @param {Counts['uploads']} uploads */
function uploaded({ paths, bytes }) {
  return paths === 0 ? 'none' : `${readableCount(paths)}, ${readableBytes(bytes)}`;
}

const reasons = {
  unauthorized: 'no known token',
  untrusted: 'not signed',
  invalid: 'wrong',
  noRoom: 'no room',
  cut: 'cut off',
};

/** @param {Counts['uploads']} uploads */
function refused(uploads) {
  const why = /** @type {(keyof typeof reasons)[]} */ (Object.keys(reasons)).filter(
    (key) => uploads[key] > 0,
  );
  return why.map((key) => `${readableCount(uploads[key])} ${reasons[key]}`).join(', ') || 'none';
}
