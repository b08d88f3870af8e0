import { afterAll } from 'vitest';

/** A list for what these tests measure, a line each; told when they have ended. */
export function figuresTold(): string[] {
  const figures: string[] = [];
  afterAll(() => {
    process.stdout.write(`${figures.map((figure) => `  ${figure}`).join('\n')}\n`);
  });
  return figures;
}
