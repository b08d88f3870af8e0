import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventSchema } from '../../../agent/http/event-schema.ts';
import { emptyCounts, emptyNarinfoOfSource, emptyNarOfSource } from '../../../agent/telemetry/counts.ts';

const document = await readFile(join(import.meta.dirname, '../../../docs/stats.md'), 'utf8');

it('docs/stats.md names every counter', () => {
  for (const [group, counters] of Object.entries(emptyCounts()))
    for (const name of Object.keys(counters)) expect(document).toContain(`\`${group}.${name}\``);
  for (const name of Object.keys({ ...emptyNarinfoOfSource('lan'), ...emptyNarOfSource('lan') }))
    expect(document).toContain(`\`${name}\``);
});

it('docs/stats.md names every type of event', () => {
  for (const { entries } of eventSchema.options) expect(document).toContain(`\`${entries.type.literal}\``);
});
