import * as v from 'valibot';
import { configError, type Problem } from './error.ts';
import { isTable, type Table } from './key.ts';
import { knownKeys } from './known-keys.ts';
import { nearest } from './nearest.ts';
import { type Config, configSchema, tables, topKeys } from './schema.ts';

/**
 * The document as Config. `originOf` tells where a key's value is from.
 * @throws ConfigError with every key that is not known and every value that is not right
 */
export function check(document: Table, originOf: (key: string) => string): Config {
  const result = v.safeParse(configSchema, document, { abortPipeEarly: true });
  const problems = [...unknownKeys(document), ...(result.success ? [] : result.issues.map(fromIssue))];
  if (result.success && problems.length === 0) return result.output;
  throw configError(problems.map((problem) => ({ ...problem, origin: originOf(problem.key) })));
}

type Found = Omit<Problem, 'origin'>;

function unknownKeys(document: Table): Found[] {
  return Object.entries(document).flatMap(([name, value]) => {
    const table = Object.entries(tables).find(([known]) => known === name);
    if (table === undefined) return Object.hasOwn(topKeys, name) ? [] : [unknownKey(name, value)];
    const inner = isTable(value) ? Object.entries(value) : [];
    return inner
      .filter(([key]) => !Object.hasOwn(table[1], key))
      .map(([key, it]) => unknownKey(`${name}.${key}`, it));
  });
}

function unknownKey(key: string, received: unknown): Found {
  return { key, received, advice: `there is no such key; ${whatWasMeant(key)}` };
}

function whatWasMeant(key: string): string {
  const meant = nearest(key, [...knownKeys.keys(), ...Object.keys(tables)]);
  if (meant === key) return 'write it without quotes';
  return meant === undefined ? "'narrowcast serve --help' lists the keys" : `did you mean ${meant}?`;
}

function fromIssue(issue: v.BaseIssue<unknown>): Found {
  const names = (issue.path ?? []).map(({ key }) => key).filter((key) => typeof key === 'string');
  return { key: names.join('.'), received: issue.path?.at(-1)?.value, advice: `expected ${issue.message}` };
}
