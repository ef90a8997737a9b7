import { PosternError } from '@postern/contracts';
import fc from 'fast-check';

import { loadCatalog, providerOf, requestFor, scopesFor, type ScopeMatrix } from './index.ts';

const catalog = loadCatalog();
const withMatrix = [...catalog.values()].filter(({ scopeMatrix }) => scopeMatrix !== null);
const chosen = (id: string, capabilities: string[], offered?: string[]) =>
  scopesFor(providerOf(catalog, id), capabilities, offered).map(({ scope }) => scope);

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
  return 'no error';
}

const made = (rows: Partial<ScopeMatrix['rows'][number]>[]) => ({
  id: 'made',
  scopeMatrix: {
    version: 1,
    rows: rows.map((row) => ({
      ...{ scope: '', allows: [], risk: 'read' as const, includes: [], says: null, evidence: 'unverified' as const },
      ...row,
    })),
  },
});

describe('the scopes for capabilities', () => {
  test('the least risky scope that allows it is taken, and among those the one that allows least', () => {
    expect(chosen('zendesk', ['tickets.read'])).toEqual(['tickets:read']);
    expect(chosen('linear', ['issues.create'])).toEqual(['issues:create']);
    expect(chosen('google', ['mail.read'])).toEqual(['https://www.googleapis.com/auth/gmail.readonly']);
    expect(chosen('slack', ['messages.write', 'users.read'])).toEqual(['chat:write', 'users:read']);
  });

  test('what another of the chosen allows anyway is not asked for', () => {
    expect(chosen('xero', ['contacts.read', 'contacts.write'])).toEqual(['accounting.contacts']);
    expect(chosen('github', ['profile.read', 'profile.write'])).toEqual(['user']);
  });

  test('it says for what each is, and what comes besides', () => {
    expect(scopesFor(providerOf(catalog, 'stripe'), ['refunds.write', 'balance.read'])).toEqual([
      {
        scope: 'read_write',
        risk: 'money',
        for: ['balance.read', 'refunds.write'],
        besides: ['customers.read', 'customers.write', 'payments.read', 'payments.write', 'payouts.write'],
        evidence: 'documented',
      },
    ]);
  });

  test('a scope is as risky as the worst that it includes', () => {
    const row = (id: string, scope: string) =>
      providerOf(catalog, id).scopeMatrix?.rows.find((one) => one.scope === scope);
    expect(row('google', 'https://mail.google.com/')?.includes).toContain(
      'https://www.googleapis.com/auth/gmail.readonly',
    );
    expect(row('xero', 'accounting.transactions')).toMatchObject({
      risk: 'money',
      allows: ['invoices.read', 'invoices.write'],
    });
    expect(row('salesforce', 'full')).toMatchObject({ risk: 'admin' });
  });

  test('only offered scopes count', () => {
    expect(chosen('zendesk', ['tickets.read'], ['read'])).toEqual(['read']);
    expect(codeOf(() => chosen('zendesk', ['tickets.write'], ['read']))).toBe('provider.capability_unknown');
  });

  test('what no scope allows is refused, and so is a provider without a matrix', () => {
    expect(codeOf(() => chosen('linear', ['world.end']))).toBe('provider.capability_unknown');
    expect(codeOf(() => chosen('airtable', ['records.read']))).toBe('provider.capability_unknown');
    expect(codeOf(() => chosen('linear', ['__proto__.x']))).toBe('provider.capability_unknown');
  });

  test('a request asks for what allows nothing by itself, too, as far as it is offered', () => {
    const xero = providerOf(catalog, 'xero');
    const offered = ['accounting.contacts', 'offline_access', 'accounting.contacts.read', 'somebody.elses'];
    expect(requestFor(xero, ['contacts.read'], offered)).toEqual(['offline_access', 'accounting.contacts.read']);
    expect(requestFor(xero, ['contacts.read'], ['accounting.contacts'])).toEqual(['accounting.contacts']);
    expect(codeOf(() => requestFor(xero, ['invoices.read'], offered))).toBe('provider.capability_unknown');
  });

  test('two scopes that allow the same do not put each other out', () => {
    const twins = made([
      { scope: 'a', allows: ['x.read'], includes: ['b'] },
      { scope: 'b', allows: ['x.read', 'y.read'], includes: ['a'] },
    ]);
    expect(scopesFor(twins, ['x.read', 'y.read']).map(({ scope }) => scope)).toEqual(['b']);
  });

  test.each(withMatrix.map((provider) => [provider.id, provider] as const))(
    '%s: whatever is asked for is had, in whatever order, and nothing chosen is spare',
    (_id, provider) => {
      const rows = provider.scopeMatrix?.rows ?? [];
      const known = [...new Set(rows.flatMap(({ allows }) => allows))];
      const allowsOf = (scopes: readonly string[]) =>
        new Set(rows.filter(({ scope }) => scopes.includes(scope)).flatMap(({ allows }) => allows));
      fc.assert(
        fc.property(fc.shuffledSubarray(known, { minLength: 1 }), (asked) => {
          const scopes = scopesFor(provider, asked).map(({ scope }) => scope);
          const again = scopesFor(provider, asked.toReversed()).map(({ scope }) => scope);
          expect(again).toEqual(scopes);
          expect(asked.filter((capability) => !allowsOf(scopes).has(capability))).toEqual([]);
          for (const scope of scopes) {
            const left = allowsOf(scopes.filter((other) => other !== scope));
            expect(asked.some((capability) => !left.has(capability))).toBe(true);
          }
        }),
        { numRuns: 50 },
      );
    },
  );
});
