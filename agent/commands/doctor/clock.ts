import { type Finding, fault, ok, skipped, warning } from './finding.ts';

/** What a cache says of the time: its Date in ms since the epoch, or the code of the TLS error that a wrong clock brings about. */
export interface TimeAnswer {
  readonly id: string;
  readonly date?: number;
  readonly tlsError?: string;
}

const tolerable = 60_000;
const harmful = 3_600_000;
const cure = { cure: 'run: timedatectl set-ntp true', nixos: 'services.timesyncd.enable = true;' };

/** Whether our clock is right: a wrong one makes certificates invalid. `now` in ms since the epoch. */
export function checkClock(answers: readonly TimeAnswer[], now: number): Finding {
  const untimely = answers.find(({ tlsError = '' }) =>
    ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'].includes(tlsError),
  );
  if (untimely !== undefined)
    return fault(
      `The certificate of ${untimely.id} is not valid now, at ${new Date(now).toISOString()}: is that the time?`,
      cure,
    );
  const dated = answers.flatMap(({ id, date }) => (date === undefined ? [] : [{ id, off: now - date }]));
  const [nearest] = dated.sort((a, b) => Math.abs(a.off) - Math.abs(b.off));
  if (nearest === undefined) return skipped('No cache tells the time to compare ours with.');
  const { id, off } = nearest;
  if (Math.abs(off) <= tolerable) return ok(`Our clock and that of ${id} agree.`);
  const fact = `Our clock is ${span(Math.abs(off))} ${off > 0 ? 'ahead of' : 'behind'} that of ${id}.`;
  return Math.abs(off) < harmful ? warning(fact, cure) : fault(fact, cure);
}

function span(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} minutes`;
  return minutes < 2 * 1440 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 1440)} days`;
}
