import { highRiskScopes, hostsOf, isAbove, riskOf, worstRisk } from './access.ts';
import { loadCatalog, providerOf } from './load-catalog.ts';

const of = (id: string) => providerOf(loadCatalog(), id);

test('the risk of a scope is the matrix’s; where it has none, nobody knows', () => {
  expect([riskOf(of('zendesk'), 'tickets:write'), riskOf(of('zendesk'), 'made:up')]).toEqual([
    'destructive',
    'unknown',
  ]);
  expect([riskOf(of('airtable'), 'data.records:read'), highRiskScopes(of('airtable'))]).toEqual(['unknown', []]);
  expect(highRiskScopes(of('zendesk'))).toContain('tickets:write');
  expect(highRiskScopes(of('zendesk'))).not.toContain('tickets:read');
});

test('the worst counts, and what is not known is worse than everything', () => {
  expect(worstRisk(of('zendesk'), [])).toBe('read');
  expect(worstRisk(of('zendesk'), ['tickets:read', 'tickets:write'])).toBe('destructive');
  expect(worstRisk(of('zendesk'), ['tickets:read', 'made:up'])).toBe('unknown');
  expect([isAbove('money', 'destructive'), isAbove('read', 'read'), isAbove('unknown', 'admin')]).toEqual([
    ...[true, false, true],
  ]);
});

test('hosts are those of the file, in its own words, or of the registration where the file knows none', () => {
  expect(hostsOf(of('zendesk'), { subdomain: 'acme' })).toContain('{subdomain}.zendesk.com');
  const issuer = 'https://login.example.com/tenant';
  expect(hostsOf(of('openid-connect'), { issuer, other: 'no URL' })).toEqual(['login.example.com']);
  expect(hostsOf(of('openid-connect'))).toEqual([]);
  for (const provider of loadCatalog().values()) {
    expect(hostsOf(provider).every((host) => /^[a-z0-9.{}_-]+(:\d+)?$/i.test(host))).toBe(true);
    if (provider.endpoints !== null) expect(hostsOf(provider).length).toBeGreaterThan(0);
  }
});
