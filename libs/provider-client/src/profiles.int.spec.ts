import { rmSync } from 'node:fs';

import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { temporaryDataDir } from '@postern/servers';
import { providerProfiles, reachProviders, startProviderInternet, type ProviderInternet } from '@postern/testing';

import { ProfileWalk } from './spec-support/profile-walk.ts';

const catalog = loadCatalog();
const dataDir = temporaryDataDir('postern-profiles-');
let internet: ProviderInternet;
let goBack: () => void;

beforeAll(async () => {
  internet = await startProviderInternet({ profiles: providerProfiles, dataDir });
  goBack = reachProviders(internet);
});

afterAll(async () => {
  goBack();
  await internet.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Of a provider's file one fact at a time is wrong here, as it could be by a slip or because the provider changed. */
const slips: readonly (readonly [
  profileId: string,
  slip: string,
  Partial<Provider> | ((right: Provider) => Partial<Provider>),
  RegExp,
])[] = [
  ['gong', 'the client authenticates in the body', { tokenEndpointAuthMethods: ['client_secret_post'] }, /connect/],
  ['gong', 'a spent refresh token may come again', withRefresh({ reuseGraceS: 1_800 }), /may come again: rejected/],
  ['gong', 'its own word for a dead refresh token is unknown', { answers: [] }, /is failed|is client_rejected/],
  [
    'zendesk',
    'a refresh leaves the old access token alive',
    withRefresh({ endsAccessToken: false }),
    /of before alive/,
  ],
  ['zendesk', 'another token endpoint', withEndpoint('tokenEndpoint', '/oauth/token'), /connect/],
  ['zendesk', 'another host', withEndpoint('authorizationEndpoint', '//login.zendesk.com'), /connect/],
  ['zendesk', 'RFC 7009 in the place of its own call', withoutCall, /told by us/],
  ['github', 'refresh tokens', withRefresh({ issued: 'always' }), /issued always/],
  ['github', 'an answer for a dead token that it does not give', withDeadWords(['Token expired']), /unclear|failed/],
  ['github-app', 'the person stands elsewhere in its notice', withNames(['user.id']), /names the account/],
  ['hubspot', 'the endpoints of version 1', withEndpoint('tokenEndpoint', '/oauth/v1/token'), /connect/],
  ['hubspot', 'refresh tokens rotate', withRefresh({ rotation: 'each_use' }), /rotate: each_use/],
  ['salesforce', 'an access token that lives an hour', { accessTokenDefaultTtlS: 3_600 }, /believed to live 3600/],
  ['atlassian', 'an authorization request without its own parameters', { authorizationParameters: {} }, /connect/],
  ['stripe', 'webhooks signed as Slack does', withScheme('slack_v0'), /is verified/],
  ['stripe-apps', 'the client authenticates as others do', { strategies: [] }, /connect/],
  ['stripe-apps', 'an access token without an end', { accessTokenDefaultTtlS: null }, /believed to live null/],
  ['microsoft', 'the issuer is the one that was asked', { strategies: [] }, /connect/],
  ['slack-bot', 'scopes with spaces', { scopeSeparator: ' ' }, /connect/],
  ['slack-bot', 'a token of a bot is no bearer token', { bearerTokenTypes: [] }, /connect/],
  ['slack-bot', 'no webhook', { webhook: null }, /no webhook/],
  ['slack-user', 'the scopes of a bot', { scopeParameter: 'scope' }, /connect/],
  ['slack-user', 'the tokens stand at the top', { strategies: [] }, /connect/],
  ['slack-rotation', 'the words of its refusals are unknown', { answers: [] }, /is failed|is client_rejected/],
  ['notion', 'a form', { strategies: [] }, /connect/],
  ['xero', 'refresh tokens stay', withRefresh({ rotation: 'none' }), /rotate: none/],
];

function withRefresh(wrong: Partial<Provider['refresh']>) {
  return ({ refresh }: Provider): Partial<Provider> => ({ refresh: { ...refresh, ...wrong } });
}

/** Another path, or another host. */
function withEndpoint(name: 'tokenEndpoint' | 'authorizationEndpoint', place: string) {
  return ({ endpoints }: Provider): Partial<Provider> => {
    if (endpoints === null) throw new Error('the endpoints of this provider are discovered');
    const [, host = '', path = ''] = /^https:\/\/([^/]+)(.*)$/.exec(endpoints[name] ?? '') ?? [];
    const wrong = place.startsWith('//') ? `https:${place}${path}` : `https://${host}${place}`;
    return { endpoints: { ...endpoints, [name]: wrong } };
  };
}

function withoutCall({ revocation }: Provider): Partial<Provider> {
  return { revocation: { ...revocation, call: null } };
}

function withDeadWords(words: readonly string[]) {
  return ({ api }: Provider): Partial<Provider> => {
    const { tokenProbe } = api;
    if (tokenProbe === null) throw new Error('this provider has no such call');
    return { api: { ...api, tokenProbe: { ...tokenProbe, dead: tokenProbe.dead.map((row) => ({ ...row, words })) } } };
  };
}

function withNames(members: readonly string[]) {
  return ({ webhook }: Provider): Partial<Provider> => {
    if (webhook === null) throw new Error('this provider has no webhook');
    const names = [{ key: 'user', members, unless: null }];
    return { webhook: { ...webhook, events: webhook.events.map((event) => ({ ...event, names })) } };
  };
}

function withScheme(scheme: NonNullable<Provider['webhook']>['scheme']) {
  return ({ webhook }: Provider): Partial<Provider> => ({ webhook: webhook && { ...webhook, scheme } });
}

describe('what the catalog says of a provider is what the provider does', () => {
  test.each(providerProfiles.map((profile) => [profile.name, profile] as const))('%s', async (_name, profile) => {
    const problems = await new ProfileWalk(profile, providerOf(catalog, profile.provider), internet).take();
    const said = (await internet.complaints()).filter(
      ({ profileId }) => profileId === profile.id || profileId === null,
    );
    expect({ problems, said: problems.length > 0 ? said : [] }).toEqual({ problems: [], said: [] });
  });
});

describe('a file that is wrong in one thing does not get along with the provider', () => {
  test.each(slips)('%s: %s', async (profileId, _slip, wrong, problem) => {
    const profile = providerProfiles.find(({ id }) => id === profileId);
    if (profile === undefined) throw new Error('there is no such profile');
    const right = providerOf(catalog, profile.provider);
    const provider = { ...right, ...(typeof wrong === 'function' ? wrong(right) : wrong) };
    const problems = await new ProfileWalk(profile, provider, internet).take();
    expect(problems.join('\n')).toMatch(problem);
  });
});
