import { isAssumed, type Fact, type Provider } from '@postern/provider-catalog';

import { paint, table } from '../output/printer.ts';

/** A provider for people: every fact with its evidence, what is unknown, and what is doubtful. */
export function shownProvider({ id, name, version, parameters, facts, doubts }: Provider): string[] {
  const all = Object.entries(facts);
  const known = all.filter(([, fact]) => !isAssumed(fact));
  const assumed = all.filter(([, fact]) => isAssumed(fact));
  return [
    `${name} (${id}, version ${version})`,
    ...section(
      'Parameters of a registration',
      Object.entries(parameters).map(([parameter, { description }]) => `${parameter}: ${description}`),
    ),
    ...section('Facts', known.flatMap(factLines)),
    ...section(
      'Unknown, with the cautious value',
      table([['FACT', 'VALUE'], ...assumed.map(([path, { value }]) => [path, JSON.stringify(value)])]),
      assumed.length,
    ),
    ...section('Doubts', doubts),
  ];
}

function factLines([path, { value, evidence, source, as_of: asOf, note }]: [string, Fact<unknown>]): string[] {
  const where = source === undefined ? '' : ` ${source} (read ${asOf ?? 'at a day not noted'})`;
  return [
    `${path}: ${JSON.stringify(value)}`,
    `    ${evidence}${where}`,
    ...(note === undefined ? [] : [`    ${note}`]),
  ];
}

function section(title: string, lines: readonly string[], count = lines.length): string[] {
  return count === 0 ? [] : ['', paint('1', title), ...lines.map((line) => `  ${line}`)];
}
