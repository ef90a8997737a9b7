import { instantAt, loadCatalog, namedAccounts, providerOf, readDelivery, withoutMembers } from './index.ts';

const catalog = loadCatalog();
const webhookOf = (id: string) => {
  const { webhook } = providerOf(catalog, id);
  if (webhook === null) throw new Error(`${id} has no webhook`);
  return webhook;
};
const eventOf = (id: string, body: unknown, headers: Record<string, string> = {}) => {
  const read = readDelivery(webhookOf(id), { body, headers });
  return read.kind === 'event' ? read.event : undefined;
};
const tokensRevoked = {
  token: 'the verification token',
  team_id: 'T1',
  api_app_id: 'A1',
  event: { type: 'tokens_revoked', tokens: { oauth: ['U1'], bot: ['U2', 'U3'] } },
  type: 'event_callback',
  event_id: 'Ev1',
  event_time: 1_234_567_890,
};

test('Slack’s tokens_revoked names each bot of the team, and when', () => {
  const event = eventOf('slack', tokensRevoked);
  expect(event).toMatchObject({ type: 'tokens_revoked', means: 'grant_ended' });
  expect(namedAccounts(event?.names ?? [], tokensRevoked)).toEqual([
    { key: 'team_bot', values: ['T1', 'U2'] },
    { key: 'team_bot', values: ['T1', 'U3'] },
  ]);
  expect(instantAt(event?.occurredAt ?? null, tokensRevoked)).toBe(1_234_567_890_000);
});

test('what Slack says of a user token alone names none of our bots', () => {
  const body = { ...tokensRevoked, event: { type: 'tokens_revoked', tokens: { oauth: ['U2'] } } };
  expect(namedAccounts(eventOf('slack', body)?.names ?? [], body)).toEqual([]);
});

test('an organization of Slack is another account than each of its teams', () => {
  const names = providerOf(catalog, 'slack').accountKeys;
  const team = { team: { id: 'T1' }, enterprise: { id: 'E1' }, bot_user_id: 'U2' };
  expect(namedAccounts(names, team)).toEqual([
    { key: 'team', values: ['T1'] },
    { key: 'team_bot', values: ['T1', 'U2'] },
  ]);
  expect(namedAccounts(names, { ...team, team: null })).toEqual([
    { key: 'enterprise', values: ['E1'] },
    { key: 'enterprise_bot', values: ['E1', 'U2'] },
  ]);
  const body = { type: 'event_callback', team_id: 'T1', enterprise_id: 'E1', event: { type: 'app_uninstalled' } };
  expect(namedAccounts(eventOf('slack', body)?.names ?? [], body)).toEqual([{ key: 'team', values: ['T1'] }]);
});

test('Slack’s question whether we are there is answered in its own words', () => {
  const body = { type: 'url_verification', token: 't', challenge: '3eZbrw1a' };
  expect(readDelivery(webhookOf('slack'), { body, headers: {} })).toEqual({ kind: 'handshake', answer: '3eZbrw1a' });
  const without = { type: 'url_verification' };
  expect(readDelivery(webhookOf('slack'), { body: without, headers: {} })).toEqual({ kind: 'other' });
});

test.each([
  ['github_app_authorization', 'revoked', 'hint', '7'],
  ['installation', 'deleted', 'hint', '9'],
  ['installation', 'suspend', 'suspended', '9'],
  ['installation', 'unsuspend', 'resumed', '9'],
  ['installation', 'new_permissions_accepted', 'scope_changed', '9'],
])('GitHub’s %s %s is %s, and vouches for no time', (name, action, means, user) => {
  const body = { action, sender: { id: 7 }, installation: { account: { id: 9 } } };
  const event = eventOf('github-app', body, { 'x-github-event': name });
  expect(event).toMatchObject({ type: `${name}.${action}`, means, occurredAt: null });
  expect(namedAccounts(event?.names ?? [], body)).toEqual([{ key: 'user', values: [user] }]);
  expect(eventOf('github-app', body)).toBeUndefined();
});

test('GitHub says whose token it is when it is asked', () => {
  const probe = providerOf(catalog, 'github-app').accountProbe;
  expect(probe?.url).toBe('https://api.github.com/user');
  expect(namedAccounts(probe?.names ?? [], { id: 7, login: 'octocat' })).toEqual([{ key: 'user', values: ['7'] }]);
});

test('Stripe’s account.application.deauthorized names the account', () => {
  const body = { id: 'evt_1', type: 'account.application.deauthorized', account: 'acct_1', created: 1_700_000_000 };
  const event = eventOf('stripe', body);
  expect(namedAccounts(event?.names ?? [], body)).toEqual([{ key: 'account', values: ['acct_1'] }]);
  expect(instantAt(event?.occurredAt ?? null, body)).toBe(1_700_000_000_000);
  const answer = { stripe_user_id: 'acct_1', access_token: 'x' };
  expect(namedAccounts(providerOf(catalog, 'stripe').accountKeys, answer)).toEqual([
    { key: 'account', values: ['acct_1'] },
  ]);
});

test.each([
  ['nothing', undefined],
  ['a list', []],
  ['a text', 'tokens_revoked'],
  ['another type', { ...tokensRevoked, event: { type: 'message' } }],
  ['a type that is a list', { ...tokensRevoked, type: ['event_callback'] }],
  ['members of a prototype', Object.create(tokensRevoked) as unknown],
])('%s is no event', (_title, body) => {
  expect(readDelivery(webhookOf('slack'), { body, headers: {} })).toEqual({ kind: 'other' });
});

test('ids that are none name nobody', () => {
  const names = webhookOf('slack').events[0]?.names ?? [];
  for (const bot of [[null], [{}], [['U2']], [''], ['x'.repeat(257)], 'U2', {}, [true], ['\ud800']]) {
    const body = { ...tokensRevoked, event: { type: 'tokens_revoked', tokens: { bot } } };
    expect(namedAccounts(names, body)).toEqual([]);
  }
});

test('a delivery names a bounded number of accounts', () => {
  const names = webhookOf('slack').events[0]?.names ?? [];
  const bot = Array.from({ length: 5_000 }, (_none, index) => `U${index}`);
  expect(namedAccounts(names, { ...tokensRevoked, event: { tokens: { bot } } })).toHaveLength(1_000);
});

test('a time that is none is no time', () => {
  const at = (event_time: unknown) => instantAt({ member: 'event_time', unit: 's' }, { event_time });
  for (const none of ['', 'soon', '-1', '1e9', null, [1], 1e30, '9'.repeat(20)]) expect(at(none)).toBeNull();
  expect(at('1234567890.5')).toBe(1_234_567_890_500);
});

test('what is secret is taken out, and nothing else', () => {
  const stripped = withoutMembers(tokensRevoked, webhookOf('slack').secretMembers);
  const { token: _token, ...rest } = tokensRevoked;
  expect(stripped).toEqual(rest);
  expect(tokensRevoked.token).toBe('the verification token');
  expect(withoutMembers({ a: [{ b: 1, c: 2 }] }, ['a[].b'])).toEqual({ a: [{ c: 2 }] });
});
