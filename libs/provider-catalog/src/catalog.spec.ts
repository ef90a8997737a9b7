import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { PosternError } from '@postern/contracts';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';

import {
  bestEvidenceOf,
  evidenceOf,
  loadCatalog,
  loadKnownTransmitters,
  parseProviderFile,
  parseProviderVersion,
  providerAt,
  providerOf,
  providersDir,
  requireGrantType,
  requireSomeGrantType,
  resolveProvider,
  type Provider,
} from './index.ts';

const catalog = loadCatalog();
const fileNames = readdirSync(providersDir).filter((name) => name.endsWith('.yaml'));
const versionsDir = new URL('versions/', providersDir);
const versionFiles = readdirSync(versionsDir).flatMap((id) =>
  readdirSync(new URL(`${id}/`, versionsDir)).map((name) => [id, Number(name.replace('.yaml', ''))] as const),
);
const textOf = (name: string) => readFileSync(new URL(name, providersDir), 'utf8');

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('the catalog', () => {
  test.each(fileNames)('%s is valid and holds the provider it is named after', (name) => {
    const provider = parseProviderFile(textOf(name), name);
    expect(`${provider.id}.yaml`).toBe(name);
    expect(provider.version).toBeGreaterThan(0);
    expect(catalog.get(provider.id)).toEqual(provider);
  });

  test.each(versionFiles)('versions/%s/%d.yaml is valid, and no other version than its name says', (id, version) => {
    const file = new URL(`versions/${id}/${version}.yaml`, providersDir);
    expect(parseProviderVersion(readFileSync(file, 'utf8'), { id, version })).toEqual(catalog.version(id, version));
    expect(catalog.versionsOf(id).filter((other) => other === version)).toEqual([version]);
  });

  test('has a provider in the versions that connections may be pinned to', () => {
    expect(catalog.versionsOf('hubspot')).toEqual([1, 6]);
    const endpoint = (version: number | null) => providerAt(catalog, 'hubspot', version).endpoints?.tokenEndpoint;
    expect([1, 6, null].map(endpoint)).toEqual([
      'https://api.hubapi.com/oauth/v1/token',
      'https://api.hubapi.com/oauth/v3/token',
      'https://api.hubapi.com/oauth/v3/token',
    ]);
    expect(catalog.version('hubspot', 2)).toBeUndefined();
    expect(catalog.version('nobody', 1)).toBeUndefined();
    expect(catalog.versionsOf('nobody')).toEqual([]);
  });

  test('a pin to a version that is gone comes to the newest; a provider that is not there stays unknown', () => {
    expect(providerAt(catalog, 'hubspot', 2).version).toBe(6);
    expect(codeOf(() => providerAt(catalog, 'nobody', 2))).toBe('provider.not_found');
  });

  test('a file of versions that holds another version is refused', () => {
    const yaml = textOf('linear.yaml');
    expect(codeOf(() => parseProviderVersion(yaml, { id: 'linear', version: 999 }))).toBe('provider.invalid');
  });

  test('every judged statement keeps its evidence', () => {
    const facts = providerOf(catalog, 'linear').facts;
    expect(facts['code_challenge_method']).toMatchObject({ value: 'S256', evidence: 'documented' });
    expect(facts['refresh_token.rotation']).toMatchObject({ value: 'each_use', evidence: 'unverified' });
  });

  test('what is unknown counts as the more dangerous case', () => {
    expect(providerOf(catalog, 'openid-connect').refresh).toEqual({
      issued: 'depends',
      rotation: 'unknown',
      reuseGraceS: 0,
      endsAccessToken: true,
      endedAccessTokenGraceS: 0,
      leadS: 300,
      idleTtlS: null,
      absoluteTtlS: null,
    });
  });

  test('a refresh comes early, and late where that is known to cost something', () => {
    const text = textOf('xero.yaml');
    const leadS = (change: (yaml: string) => string) => parseProviderFile(change(text), 'xero.yaml').refresh.leadS;
    expect(leadS((yaml) => yaml)).toBe(300);
    expect(leadS((yaml) => yaml.replace(/(refresh_ends_access_token:\n {4}value: )false/, '$1null'))).toBe(300);
    const ends = (yaml: string) => yaml.replace(/(refresh_ends_access_token:\n {4}value: )false/, '$1true');
    expect(leadS(ends)).toBe(60);
    const fact = (name: string, value: string) => (yaml: string) =>
      yaml.replace('  idle_ttl_s:', `  ${name}:\n    value: ${value}\n    evidence: unverified\n  idle_ttl_s:`);
    expect(leadS((yaml) => fact('ended_access_token_grace_s', '600')(ends(yaml)))).toBe(300);
    expect(leadS(fact('early_refresh_penalized', 'true'))).toBe(60);
    expect(leadS(fact('refresh_lead_s', '17'))).toBe(17);
  });

  test('the clocks of refresh tokens are facts like any other', () => {
    expect(providerOf(catalog, 'greenhouse').refresh).toMatchObject({ idleTtlS: 86_400 });
    expect(providerOf(catalog, 'xero').refresh).toMatchObject({ idleTtlS: 5_184_000, absoluteTtlS: null });
    expect(providerOf(catalog, 'asana').refresh.leadS).toBe(60);
    expect(providerOf(catalog, 'zendesk').refresh).toMatchObject({ endsAccessToken: true, leadS: 60 });
    expect(providerOf(catalog, 'google').facts['refresh_token.idle_ttl_s']).toMatchObject({ evidence: 'unverified' });
  });

  test('a provider is frozen to its leaves', () => {
    const provider = providerOf(catalog, 'google');
    expect(Object.isFrozen(provider)).toBe(true);
    expect(Object.isFrozen(provider.refresh)).toBe(true);
    expect(Object.isFrozen(provider.facts['account'])).toBe(true);
  });

  test('an unknown provider is refused', () => {
    expect(codeOf(() => providerOf(catalog, 'nobody'))).toBe('provider.not_found');
    expect(codeOf(() => providerOf(catalog, '__proto__'))).toBe('provider.not_found');
  });
});

describe('reading the catalog', () => {
  const folder = mkdtempSync(join(tmpdir(), 'catalog-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a file is read when its provider is asked for, and once', () => {
    writeFileSync(join(folder, 'linear.yaml'), textOf('linear.yaml'));
    writeFileSync(join(folder, 'broken.yaml'), 'id: broken');
    const some = loadCatalog(pathToFileURL(`${folder}/`));
    expect([...some.keys()]).toEqual(['broken', 'linear']);
    expect(some.size).toBe(2);
    const linear = providerOf(some, 'linear');
    writeFileSync(join(folder, 'linear.yaml'), 'id: broken too');
    expect(providerOf(some, 'linear')).toBe(linear);
    expect(loadCatalog(pathToFileURL(`${folder}/`))).toBe(some);
    expect(codeOf(() => some.get('broken'))).toBe('provider.invalid');
    expect(codeOf(() => [...some.values()])).toBe('provider.invalid');
  });
});

describe('what is known', () => {
  const named = [
    ...['asana', 'atlassian', 'github', 'github-app', 'github-app-installation', 'gong', 'google', 'greenhouse'],
    ...[
      'hubspot',
      'hubspot-2026-03',
      'intercom',
      'intercom-au',
      'intercom-eu',
      'linear',
      'microsoft',
      'notion',
      'salesforce',
      'salesforce-my-domain',
    ],
    ...['slack', 'slack-user', 'stripe', 'stripe-apps', 'xero', 'zendesk'],
  ];

  test('there are more than two hundred providers beside the named ones', () => {
    expect(catalog.size).toBeGreaterThanOrEqual(216);
    expect([...catalog.keys()].filter((id) => !named.includes(id)).length).toBeGreaterThanOrEqual(200);
  });

  test.each(named)('%s is documented, and says where its API is', (id) => {
    const provider = providerOf(catalog, id);
    expect(bestEvidenceOf(provider)).toBe('documented');
    expect(evidenceOf(provider).documented).toBeGreaterThanOrEqual(2);
    expect(provider.facts['api.base_urls.0']).toBeDefined();
  });

  const collected = [...catalog.values()].filter(({ facts }) =>
    /^(From the public|General knowledge)/.test(facts['endpoints']?.note ?? ''),
  );

  test('what was collected from second hands says so, and nobody mistakes it for read', () => {
    expect(collected.length).toBeGreaterThanOrEqual(200);
    const claiming = collected.filter((provider) => bestEvidenceOf(provider) !== 'unverified');
    expect(claiming.map(({ id }) => id)).toEqual([]);
  });

  test('what a file does not say is there with a cautious value, and told from what it says', () => {
    const airtable = providerOf(catalog, 'airtable');
    expect(airtable.refresh).toEqual(providerOf(catalog, 'openid-connect').refresh);
    expect(evidenceOf(airtable)).toEqual({ documented: 0, observed: 0, unverified: 3, assumed: 16 });
  });

  test('no two files are one provider', () => {
    const known = [...catalog.values()].flatMap(({ id, endpoints, scopeParameter }) =>
      endpoints === null || id.startsWith('github') ? [] : [`${endpoints.tokenEndpoint} ${scopeParameter}`],
    );
    expect(new Set(known).size).toBe(known.length);
  });

  test('editors are told of the schema, in every file', () => {
    const line = '# yaml-language-server: $schema=../../../docs/reference/provider.schema.json';
    expect(fileNames.filter((name) => textOf(name).split('\n')[0] !== line)).toEqual([]);
  });

  test('a transmitter that speaks for a provider is one that is known', () => {
    const ids = [...catalog.values()].flatMap(({ facts }) => {
      const fact = facts['security_events'] as { value: { transmitter: string } } | undefined;
      return fact === undefined ? [] : [fact.value.transmitter];
    });
    expect(ids).toEqual(['google']);
    expect([...loadKnownTransmitters().keys()]).toEqual(expect.arrayContaining(ids));
  });

  test('a provider whose tokens are had in another way is refused', () => {
    const installation = providerOf(catalog, 'github-app-installation');
    expect(codeOf(() => requireGrantType(installation, 'authorization_code'))).toBe('provider.flow_unsupported');
    expect(codeOf(() => requireSomeGrantType({ ...installation, grantTypes: [] }))).toBe('provider.flow_unsupported');
    expect(() => requireGrantType(installation, 'installation')).not.toThrow();
    expect(codeOf(() => requireGrantType(installation, 'jwt_bearer'))).toBe('provider.flow_unsupported');
    expect(codeOf(() => requireGrantType(providerOf(catalog, 'salesforce'), 'installation'))).toBe(
      'provider.flow_unsupported',
    );
    const linear = providerOf(catalog, 'linear');
    expect(() => requireSomeGrantType(linear)).not.toThrow();
    expect(codeOf(() => requireGrantType(linear, 'client_credentials'))).toBe('provider.flow_unsupported');
    expect(() => requireGrantType(providerOf(catalog, 'openid-connect'), 'client_credentials')).not.toThrow();
  });
});

describe('a credential that is made by hand', () => {
  const file = (credential: string, more = '') =>
    parseProviderFile(`id: acme\nname: Acme\nversion: 1\ncredential: ${credential}\n${more}`, 'acme.yaml');
  const endpoints =
    'endpoints: { value: { authorization_endpoint: https://a.example/a, token_endpoint: https://a.example/t }, evidence: unverified }';

  test('stands in the place of endpoints, and nothing is authorized there', () => {
    const acme = file('{ value: { kind: api_key, name: X-Api-Key }, evidence: unverified }');
    expect(acme.credential).toEqual({ kind: 'api_key', in: 'header', name: 'X-Api-Key', prefix: '' });
    expect(acme).toMatchObject({ grantTypes: [], tokenEndpointAuthMethods: ['none'], endpoints: null });
    expect(resolveProvider(acme, {})).toMatchObject({ kind: 'static', probeUrl: null });
    expect(codeOf(() => requireGrantType(acme, 'authorization_code'))).toBe('provider.flow_unsupported');
    expect(() => requireSomeGrantType(acme)).not.toThrow();
    expect(codeOf(() => file('{ value: { kind: basic }, evidence: unverified }', endpoints))).toBe('provider.invalid');
    expect(codeOf(() => parseProviderFile('id: acme\nname: Acme\nversion: 1', 'acme.yaml'))).toBe('provider.invalid');
  });

  test('stands in the query only where the provider says so', () => {
    const inQuery = 'kind: api_key, in: query, name: key';
    const documented = 'evidence: documented, source: https://acme.example/docs, as_of: 2026-11-29';
    expect(codeOf(() => file(`{ value: { ${inQuery} }, evidence: unverified }`))).toBe('provider.invalid');
    expect(file(`{ value: { ${inQuery} }, ${documented} }`).credential).toMatchObject({ in: 'query', name: 'key' });
  });

  test.each(['a: b', 'X-Key\r\nEvil', 'X Key', ''])('has the name of a header, and nothing else: %j', (name) => {
    const value = JSON.stringify({ kind: 'headers', names: [name] });
    expect(codeOf(() => file(`{ value: ${value}, evidence: unverified }`))).toBe('provider.invalid');
  });

  test('after how long it should be replaced is a fact of such a provider alone', () => {
    const age = 'rotate_after_s: { value: 7776000, evidence: unverified }';
    expect(file('{ value: { kind: basic }, evidence: unverified }', age).rotateAfterS).toBe(7_776_000);
    const yaml = `id: acme\nname: Acme\nversion: 1\n${endpoints}\n${age}`;
    expect(codeOf(() => parseProviderFile(yaml, 'acme.yaml'))).toBe('provider.invalid');
  });
});

describe('the resource that a tenant chose', () => {
  const mcp = providerOf(catalog, 'mcp');
  const resolved = (resource: string) => resolveProvider(mcp, { resource, issuer: 'https://as.example' });

  test.each(['https://mcp.example', 'https://mcp.example/', 'https://mcp.example/a/mcp?b=c', 'http://127.0.0.1:1/mcp'])(
    'is kept as it is written: %s',
    (resource) => {
      expect(resolved(resource)).toMatchObject({ kind: 'discover', issuer: 'https://as.example', resource });
    },
  );

  test.each([
    ['mcp.example', 'request.malformed'],
    ['file:///etc/passwd', 'request.malformed'],
    ['https://mcp.example/#part', 'request.malformed'],
    ['https://somebody@mcp.example/', 'request.malformed'],
    ['https://MCP.example/', 'request.malformed'],
    ['https://mcp.example/a/../b', 'request.malformed'],
    [`https://mcp.example/${'a'.repeat(2_048)}`, 'request.malformed'],
    ['http://mcp.example/', 'registration.insecure_endpoint'],
  ])('is a URL that says one thing only, over TLS, or is refused: %s', (resource, code) => {
    expect(() => resolved(resource)).toThrow(expect.objectContaining({ code }) as Error);
  });
});

describe('no parameter moves a host', () => {
  const templated = [...catalog.values()].filter(
    ({ parameters, grantTypes, credential }) =>
      (credential !== null || grantTypes.includes('authorization_code')) &&
      Object.values(parameters).some(({ kind }) => kind === 'host_label' || kind === 'path_segment'),
  );

  /** Every URL of a provider, with something harmless for each parameter. */
  function urls(provider: Provider, value: string): URL[] {
    const parameters = Object.fromEntries(Object.keys(provider.parameters).map((name) => [name, value]));
    const resolved = resolveProvider(provider, parameters);
    if (resolved.kind === 'discover') return [];
    const { revocationCall: call, probeUrl } = resolved;
    const calls = [probeUrl, ...(call === null ? [] : [call.url, call.find?.url ?? call.url])];
    const endpoints = resolved.kind === 'known' ? [...Object.values(resolved.endpoints), resolved.issuer] : [];
    return [...endpoints, ...calls].filter((url) => url !== null).map((url) => new URL(url));
  }

  test('there are some of both kinds', () => {
    const kinds = templated.flatMap(({ parameters }) => Object.values(parameters).map(({ kind }) => kind));
    expect(new Set(kinds)).toEqual(new Set(['host_label', 'path_segment']));
    expect(templated.length).toBeGreaterThan(10);
  });

  const hostile = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc
      .array(
        fc.constantFrom(
          'evil',
          '.',
          '..',
          '/',
          '@',
          ':',
          '#',
          '?',
          '%2f',
          '%2e',
          '\\',
          '-',
          'xn--',
          '\n',
          '\0',
          '{',
          '}',
          '。',
          'com',
        ),
        {
          maxLength: 6,
        },
      )
      .map((parts) => parts.join('')),
  );

  test.each(templated.map((provider) => [provider.id, provider] as const))(
    '%s, whatever is put in',
    (_id, provider) => {
      const usual = urls(provider, 'acme');
      fc.assert(
        fc.property(hostile, (value) => {
          let found: URL[];
          try {
            found = urls(provider, value);
          } catch (error) {
            return error instanceof PosternError && error.code === 'request.malformed';
          }
          return found.every((url, index) => {
            const other = usual[index];
            const rest = (host: string) => host.split('.').slice(1).join('.');
            return (
              url.protocol === 'https:' &&
              [url.username, url.password, url.port, url.hash].every((part) => part === '') &&
              url.search === other?.search &&
              url.pathname.split('/').length === other?.pathname.split('/').length &&
              (url.host === other?.host || rest(url.host) === rest(other?.host ?? ''))
            );
          });
        }),
        { numRuns: 60 },
      );
    },
  );
});

describe('a provider file', () => {
  const valid = textOf('zendesk.yaml');
  const withAnswer = (more: object) => {
    const file = parse(textOf('slack.yaml')) as { answers: { value: object }[] };
    return stringify({ ...file, answers: file.answers.map((row) => ({ ...row, value: { ...row.value, ...more } })) });
  };
  const withLifetime = (value: string) =>
    valid.replace('access_token:\n', `access_token:\n  expires_in: { value: ${value}, evidence: unverified }\n`);

  const withPolling = (name: string, value: string) =>
    `${textOf(name)}\npolling: { value: ${value}, evidence: unverified }\n`;

  const withoutProbe = textOf('gong-api-key.yaml').replace(/ {2}token_probe:\n(?: {4}.*\n)+/, '');

  test('says how often a provider may be asked about its grants; none is asked that is not named', () => {
    const text = textOf('hubspot.yaml');
    const { everyS, perMinuteMax } = parseProviderFile(text, 'hubspot.yaml').polling ?? {};
    expect([everyS, perMinuteMax]).toEqual([86_400, 60]);
    expect(providerOf(catalog, 'slack').polling).toBeNull();
  });

  test('about what was made by hand a provider is asked once a day where a call would tell, unless its file says otherwise', () => {
    expect(providerOf(catalog, 'gong-api-key').polling).toEqual({ everyS: 86_400, perMinuteMax: 10 });
    const said = (value: string) => parseProviderFile(withPolling('gong-api-key.yaml', value), 'gong-api-key.yaml');
    expect(said('{ every_s: 43200, per_minute_max: 1 }').polling).toEqual({ everyS: 43_200, perMinuteMax: 1 });
    expect(said('null').polling).toBeNull();
    expect(parseProviderFile(withoutProbe, 'gong-api-key.yaml').polling).toBeNull();
  });

  test('says how lifetimes are written, and which of its answers mean what', () => {
    const { expiresIn } = parseProviderFile(withLifetime('{ unit: ms, max_s: 86400 }'), 'zendesk.yaml');
    expect(expiresIn).toEqual({ unit: 'ms', maxS: 86_400 });
    const provider = parseProviderFile(withAnswer({ http_status: 418 }), 'slack.yaml');
    expect(new Set(provider.answers.map(({ httpStatus }) => httpStatus[0]))).toEqual(new Set([418]));
    expect(provider.facts['answers.0']).toMatchObject({ evidence: 'unverified', value: { means: 'rejected' } });
  });

  test.each([
    ['a name that is not its id', valid, 'other.yaml'],
    ['no YAML', 'a: [', 'zendesk.yaml'],
    ['the same key twice', `${valid}\nname: again\n`, 'zendesk.yaml'],
    ['a member nobody knows', `${valid}\nimplicit_grant: true\n`, 'zendesk.yaml'],
    ['plain PKCE', valid.replace('value: S256', 'value: plain'), 'zendesk.yaml'],
    ['an endpoint without TLS', valid.replace('https://{subdomain}', 'http://{subdomain}'), 'zendesk.yaml'],
    ['a parameter that is the whole host', valid.replaceAll('{subdomain}.zendesk.com', '{subdomain}'), 'zendesk.yaml'],
    ['a parameter in a path', valid.replace('/oauth/tokens', '/{subdomain}/tokens'), 'zendesk.yaml'],
    ['a parameter that is not declared', valid.replaceAll('{subdomain}', '{account}'), 'zendesk.yaml'],
    ['documented without a source', valid.replaceAll(/ {2,}source: .*\n/g, ''), 'zendesk.yaml'],
    ['documented without a day', valid.replaceAll(/ {2,}as_of: .*\n/g, ''), 'zendesk.yaml'],
    [
      'a parameter of the path that is one of the host',
      valid.replace('kind: host_label', 'kind: path_segment'),
      'zendesk.yaml',
    ],
    ['a grant type without a code', valid.replace('client_credentials]', 'implicit]'), 'zendesk.yaml'],
    ['the password grant', valid.replace('client_credentials]', 'password]'), 'zendesk.yaml'],
    [
      'a strategy nobody has written',
      `${valid}\nstrategies: [{ value: eval, evidence: unverified }]\n`,
      'zendesk.yaml',
    ],
    ['a risk that is none', valid.replace('risk: admin', 'risk: small'), 'zendesk.yaml'],
    ['a scope that includes one without a row', valid.replace("'tickets:read', ", "'nobody:read', "), 'zendesk.yaml'],
    ['two rows for a scope', valid.replace('scope: impersonate', 'scope: read'), 'zendesk.yaml'],
    ['a capability that is none', valid.replace('users.impersonate', 'Impersonate'), 'zendesk.yaml'],
    ['an answer that is judged with a 5xx', withAnswer({ http_status: 500 }), 'slack.yaml'],
    ['an answer without words', withAnswer({ words: [] }), 'slack.yaml'],
    ['an answer that means nothing we know', withAnswer({ means: 'perhaps' }), 'slack.yaml'],
    ['an answer without evidence', valid.replace('account:', 'answers: [{ value: {} }]\n\naccount:'), 'zendesk.yaml'],
    ['a lifetime in minutes', withLifetime('{ unit: min, max_s: 60 }'), 'zendesk.yaml'],
    ['a lifetime without an end', withLifetime('{ unit: ms }'), 'zendesk.yaml'],
    ['polling without introspection', withPolling('xero.yaml', '{ every_s: 86400, per_minute_max: 1 }'), 'xero.yaml'],
    [
      'polling of keys without a call that would tell',
      `${withoutProbe}\npolling: { value: { every_s: 86400, per_minute_max: 1 }, evidence: unverified }\n`,
      'gong-api-key.yaml',
    ],
    [
      'polling oftener than the vault gives tokens away',
      textOf('hubspot.yaml').replace('every_s: 86400', 'every_s: 21599'),
      'hubspot.yaml',
    ],
    ['neither discovery nor endpoints', valid.replace(/endpoints:\n(?: .*\n)+/, ''), 'zendesk.yaml'],
  ])('is refused with %s', (_what, text, name) => {
    expect(codeOf(() => parseProviderFile(text, name))).toBe('provider.invalid');
  });
});

describe('parameters', () => {
  const zendesk = providerOf(catalog, 'zendesk');
  const openIdConnect = providerOf(catalog, 'openid-connect');

  test('a label chooses the host of a known provider', () => {
    expect(resolveProvider(zendesk, { subdomain: 'acme' })).toMatchObject({
      kind: 'known',
      issuer: 'https://acme.zendesk.com',
      endpoints: {
        authorizationEndpoint: 'https://acme.zendesk.com/oauth/authorizations/new',
        tokenEndpoint: 'https://acme.zendesk.com/oauth/tokens',
        revocationEndpoint: null,
        introspectionEndpoint: null,
      },
    });
  });

  test.each([
    '',
    'evil.com/',
    'evil.com#',
    'a.b',
    'a@evil',
    'a:b',
    '-a',
    'a-',
    'A',
    'xn--evil',
    'a\n',
    '%2e',
    'a\\b',
    'ä',
  ])('a label cannot move the host: %j', (subdomain) => {
    expect(codeOf(() => resolveProvider(zendesk, { subdomain }))).toBe('request.malformed');
  });

  test.each([
    'https://login.example.com',
    'https://login.example.com/realms/a',
    'http://127.0.0.1:4000',
    'https://a.example/',
  ])('an issuer is taken as it is spelled: %s', (issuer) => {
    expect(resolveProvider(openIdConnect, { issuer })).toMatchObject({ kind: 'discover', issuer });
  });

  test.each([
    'not a url',
    'https://user@login.example.com',
    'https://login.example.com?x=1',
    'https://login.example.com/?',
    'https://login.example.com#f',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'https://LOGIN.example.com',
    'https://login.example.com/a/../b',
  ])('an issuer that is not one is refused: %s', (issuer) => {
    expect(codeOf(() => resolveProvider(openIdConnect, { issuer }))).toBe('request.malformed');
  });

  test('an issuer without TLS is refused outside the loopback', () => {
    const code = codeOf(() => resolveProvider(openIdConnect, { issuer: 'http://login.example.com' }));
    expect(code).toBe('registration.insecure_endpoint');
  });

  test('missing and unknown parameters are refused', () => {
    expect(codeOf(() => resolveProvider(openIdConnect, {}))).toBe('request.malformed');
    expect(codeOf(() => resolveProvider(providerOf(catalog, 'linear'), { issuer: 'https://a.example' }))).toBe(
      'request.malformed',
    );
  });
});

describe('how a provider is told', () => {
  const slack = readFileSync(new URL('slack.yaml', providersDir), 'utf8');
  const at = 'https://slack.com/api/auth.revoke';

  test.each([
    ['a found id in the host', 'https://{found}.slack.com/x'],
    ['a client id in the host', 'https://slack.com.{client_id}/x'],
    ['plain http', 'http://slack.com/api/auth.revoke'],
    ['a query', `${at}?token={access_token}`],
    ['a secret in the URL', `${at}/{access_token}`],
    ['a parameter that is not declared', `https://{team}.slack.com/x`],
  ])('%s is refused', (_title, url) => {
    expect(() => parseProviderFile(slack.replace(at, url), 'slack.yaml')).toThrow(/slack.yaml/);
  });

  test('every provider says what its revocation ends, or is told nothing more than was named', () => {
    for (const { id, revocation, endpoints } of loadCatalog().values()) {
      if ((endpoints?.revocationEndpoint ?? revocation.call) !== null) {
        expect([id, Object.keys(loadCatalog().get(id)?.facts ?? {})]).toEqual([
          id,
          expect.arrayContaining(['revocation.ends']),
        ]);
      }
    }
  });
});
