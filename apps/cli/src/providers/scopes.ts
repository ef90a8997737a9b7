import { Capability, PosternError } from '@postern/contracts';
import { loadCatalog, providerOf, scopesFor, type ChosenScope, type Provider } from '@postern/provider-catalog';

import { table } from '../output/printer.ts';
import type { PlainRun } from '../run-command.ts';

/** Tells what the scopes of a provider allow; with capabilities, which scopes to ask for and why. */
export function explainScopes({ printer, args: [id = ''], options }: PlainRun): void {
  const provider = providerOf(loadCatalog(), id);
  const offered = listIn(options['offered'], /[\s,]+/);
  const capabilities = listIn(options['capabilities'], /[\s,]+/);
  if (capabilities === undefined) {
    const { scopeMatrix: matrix } = provider;
    if (matrix === null) scopesFor(provider, []);
    printer.result(matrix, () => matrixLines(provider));
    return;
  }
  capabilities.forEach(assertCapability);
  const scopes = scopesFor(provider, capabilities, offered);
  const matrixVersion = provider.scopeMatrix?.version ?? null;
  printer.result({ provider: id, matrix_version: matrixVersion, scopes }, () => chosenLines(provider, scopes));
}

function listIn(option: unknown, separator: RegExp): string[] | undefined {
  return typeof option === 'string' ? option.split(separator).filter((word) => word !== '') : undefined;
}

function assertCapability(word: string): void {
  if (Capability.safeParse(word).success) return;
  const reason = 'is a thing and a verb joined by a dot, such as messages.write';
  throw new PosternError('request.malformed', `A capability ${reason}.`, {
    details: { fields: [{ path: 'capabilities', reason }] },
  });
}

function matrixLines({ scopeMatrix }: Provider): string[] {
  const rows = scopeMatrix?.rows ?? [];
  return [
    ...table([
      ['SCOPE', 'RISK', 'EVIDENCE', 'ALLOWS'],
      ...rows.map(({ scope, risk, evidence, allows, says }) => [
        scope,
        risk,
        evidence,
        allows.join(', ') || says || '-',
      ]),
    ]),
    `version ${scopeMatrix?.version} of the matrix`,
  ];
}

function chosenLines({ scopeMatrix, scopeSeparator }: Provider, scopes: readonly ChosenScope[]): string[] {
  return [
    ...table([
      ['SCOPE', 'RISK', 'EVIDENCE', 'FOR', 'ALLOWS BESIDES'],
      ...scopes.map(({ scope, risk, evidence, for: wanted, besides }) => [
        ...[scope, risk, evidence, wanted.join(', ')],
        besides.join(', ') || '-',
      ]),
    ]),
    `ask for: ${scopes.map(({ scope }) => scope).join(scopeSeparator)} (version ${scopeMatrix?.version} of the matrix)`,
  ];
}
