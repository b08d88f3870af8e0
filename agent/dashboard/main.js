/** @import { Condition } from './state.js' */
import { news, newsOfCondition } from './announcements.js';
import { follow } from './connection.js';
import { Page } from './page.js';
import { html, render } from './preact.js';
import { every, Rates } from './rates.js';
import { nothingKnown, told } from './state.js';
import { dayOf } from './today.js';

const root = /** @type {HTMLElement} */ (document.getElementById('page'));
const rates = new Rates();
let known = nothingKnown;
let condition = /** @type {Condition} */ ('connecting');
let heardAt = 0;
let day = dayOf(Date.now());
/** @type {{ number: number, text: string }[]} */
let said = [];
let sentences = 0;
let drawing = false;

/** Lets a screen reader say this. @param {string} text */
function say(text) {
  sentences += 1;
  said = [...said, { number: sentences, text }].slice(-5);
}

/** Draws once before the next frame, however much has happened. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render(html`<${Page} ...${{ known, rates, condition, heardAt, now: Date.now(), said }} />`, root);
  });
}

const refresh = follow({
  hear(event) {
    const before = known.stats;
    known = told(known, event);
    // Another version has a page of its own.
    if (before !== undefined && before.version !== known.stats?.version) location.reload();
    heardAt = Date.now();
    for (const text of news(before, known.stats)) say(text);
    draw();
  },
  become(next) {
    if (next === condition) return;
    if (condition !== 'connecting') say(newsOfCondition[next]);
    condition = next;
    draw();
  },
});

setInterval(() => {
  if (known.stats !== undefined && condition !== 'lost')
    rates.add(Date.now() / 1_000, known.stats.sinceStart.bytes);
}, every * 1_000);

setInterval(() => {
  const now = Date.now();
  if (dayOf(now) !== day) {
    day = dayOf(now);
    refresh();
  }
  draw();
}, 1_000);

draw();
