import type { describe, test } from 'vitest';

/** `test` or `describe`, or its skipping twin when there is a reason, which is printed so that nothing is skipped in silence. */
export function skippable<T extends typeof test | typeof describe>(
  block: T,
  reason: string | undefined,
): T | T['skip'] {
  if (reason === undefined) return block;
  process.stderr.write(`skipped: ${reason}\n`);
  return block.skip;
}
