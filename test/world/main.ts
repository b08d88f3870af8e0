/** `npm run world -- [SCENARIO…]` and `npm run world -- matrix`; see `--help`. */
import { parseArgs } from 'node:util';
import { labForbidden } from '../e2e/discovery/lab.ts';
import { privateStoreSkipReason } from '../e2e/harness/private-store.ts';
import { runMatrix } from './matrix/command.ts';
import { inOwnWorld, ownWorldForbidden } from './own-world.ts';
import { runScenario } from './run-scenario.ts';
import { scenarios } from './scenarios.ts';

const usage = `npm run world -- [SCENARIO…]                           plays scenarios, all of them without a name, and prints what happens when
npm run world -- matrix [--short] [--write-docs]       measures the fault matrix (--short: ten cells of it; --write-docs: writes docs/world.md)

scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}
`;

process.exitCode = await main(process.argv.slice(2));

/** Returns the exit code: 0 for done or skipped, 1 when something was not as it must be, 2 for a wrong command line. */
async function main(argv: string[]): Promise<number> {
  const options = {
    short: { type: 'boolean', default: false },
    'write-docs': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  const parse = () => parseArgs({ args: argv, allowPositionals: true, options });
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  const { short, help, 'write-docs': writeDocs } = parsed.values;
  const names = parsed.positionals;
  const isMatrix = names.length === 1 && names[0] === 'matrix';
  const chosen = scenarios.filter(({ name }) => names.length === 0 || names.includes(name));
  if (help) process.stdout.write(usage);
  if (help) return 0;
  if (!isMatrix && (chosen.length < names.length || short || writeDocs)) {
    process.stderr.write(usage);
    return 2;
  }
  const reason = ownWorldForbidden() ?? labForbidden() ?? privateStoreSkipReason();
  if (reason !== undefined) {
    process.stdout.write(`skipped: ${reason}\n`);
    return 0;
  }
  inOwnWorld();
  if (isMatrix) return await runMatrix({ short, writeDocs });
  let code = 0;
  for (const scenario of chosen) if (!(await runScenario(scenario))) code = 1;
  return code;
}
