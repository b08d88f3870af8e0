/** What the package sets for the program, so that memory that was freed goes back (nixos/package.nix, docs/decisions/memory.md). */
export const packagedEnv = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '131072',
} as const;

/** What the package tells Node itself, for the same reason. */
export const packagedNodeArguments = ['--max-semi-space-size=4'] as const;
