/** Measures every contestant once in each round, in turn, so that what else the machine does falls on all alike. Results by round. */
export async function inTurn<Results extends object>(
  rounds: number,
  contestants: { readonly [Name in keyof Results]: () => Promise<Results[Name]> },
): Promise<Results[]> {
  const results: Results[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const result: Partial<Results> = {};
    for (const name in contestants) result[name] = await contestants[name]();
    results.push(result as Results);
  }
  return results;
}
