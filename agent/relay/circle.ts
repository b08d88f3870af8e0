import { type Clock, delay } from '../telemetry/clock.ts';
import type { Choice } from './choice.ts';
import type { FileReading } from './file-reading.ts';

/** A transfer for which another agent waits. */
export interface CircleParts {
  readonly reading: FileReading | undefined;
  readonly choice: Choice;
  /** This agent in `Via` headers. */
  readonly own: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Of agents that wait for a NAR from each other, who comes last in the alphabet leaves after this time, in ms, if another has the NAR, … */
const soon = 500;
/** … and all others after this: by then they have it from the one that left. */
const late = 10_000;

/**
 * Leaves a source that has not given a byte if it waits for this transfer itself, which the `Via` header of a request for the NAR may
 * mean: each was asked before it knew of the other's wish (I10). Such a source has nothing for whom it would have to ask.
 * Rejects when the transfer is over or the source cannot say.
 */
export async function leaveCircle(via: string, parts: CircleParts): Promise<void> {
  const { reading, choice, own, clock, signal } = parts;
  const supply = reading?.awaited;
  if (reading === undefined || supply === undefined) return;
  const yields = own > via;
  await delay(clock, yields ? soon : late, signal);
  if (reading.awaited !== supply || !(await supply.refuses(via, signal))) return;
  if (yields && !(await choice.hasOther(supply))) return;
  if (reading.awaited === supply) reading.leaveAwaited();
}
