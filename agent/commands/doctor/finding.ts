/**
 * How a check came out: `warning` is what works, but not as well as it could, or what may be meant so; `fault` is what must be
 * mended; `skipped` is what could not be looked at.
 */
export type Verdict = 'ok' | 'warning' | 'fault' | 'skipped';

/** What a check found. */
export interface Finding {
  readonly verdict: Verdict;
  /** In a sentence or two. */
  readonly fact: string;
  /** What mends it, each a line: a command, or what to write into which file. */
  readonly cure: readonly string[];
  /** The option of NixOS that does the same. */
  readonly nixos?: string;
}

/** What mends something: where that is to be written or run, and the NixOS option, if there is one. */
interface Cure {
  readonly cure: string | readonly string[];
  readonly nixos?: string;
}

/** All is well. */
export function ok(fact: string): Finding {
  return { verdict: 'ok', fact, cure: [] };
}

/** It works, but could be better. */
export function warning(fact: string, cure?: Cure): Finding {
  return { verdict: 'warning', fact, ...lines(cure) };
}

/** It does not work. */
export function fault(fact: string, cure?: Cure): Finding {
  return { verdict: 'fault', fact, ...lines(cure) };
}

/** It could not be looked at. */
export function skipped(fact: string, cure?: Cure): Finding {
  return { verdict: 'skipped', fact, ...lines(cure) };
}

function lines({ cure = [], nixos }: Partial<Cure> = {}): Pick<Finding, 'cure' | 'nixos'> {
  return { cure: typeof cure === 'string' ? [cure] : cure, ...(nixos !== undefined && { nixos }) };
}
