import { loadKnownTransmitters, loadSecurityEvents } from './security-events.ts';
import { subjectOfEvent, timeOfEvent, withoutTokens } from './subject-identifiers.ts';

const email = (address: string) => ({ format: 'email', email: address });

describe('the subject of an event', () => {
  test('is that of the token, else that of the event, else the sub of the token', () => {
    const event = { subject: email('event@example.com') };
    const claims = { iss: 'https://idp.example', sub: '7' };
    expect(subjectOfEvent({ ...claims, sub_id: email('token@example.com') }, event).accounts).toEqual([
      { key: 'email', values: ['token@example.com'] },
    ]);
    expect(subjectOfEvent(claims, event).accounts).toEqual([{ key: 'email', values: ['event@example.com'] }]);
    expect(subjectOfEvent(claims, {}).accounts).toEqual([
      { key: 'iss_sub', values: ['https://idp.example', '7'] },
      { key: 'iss_sub', values: ['https://idp.example/', '7'] },
    ]);
  });

  test.each([
    ['nothing', {}],
    ['a text', { sub_id: 'ada@example.com' }],
    ['a format that nobody knows', { sub_id: { format: 'shoe_size', id: '43' } }],
    ['a number for an address', { sub_id: { format: 'email', email: 7 } }],
    ['an address without end', { sub_id: email('x'.repeat(2_049)) }],
    ['half of an issuer and subject', { sub_id: { format: 'iss_sub', iss: 'https://idp.example' } }],
    [
      'aliases in aliases',
      { sub_id: { format: 'aliases', identifiers: [{ format: 'aliases', identifiers: [email('a@b')] }] } },
    ],
    [
      'an access token',
      { sub_id: { format: 'oauth_token', token_type: 'access_token', token_identifier_alg: 'prefix', token: 'x' } },
    ],
    ['a prototype', { sub_id: Object.create({ format: 'email', email: 'a@b' }) as object }],
  ])('that is %s names nobody', (_title, claims) => {
    expect(subjectOfEvent(claims, {}).accounts).toEqual([]);
  });

  test('of more aliases than anybody has is cut', () => {
    const identifiers = Array.from({ length: 1_000 }, (_, n) => email(`${n}@example.com`));
    expect(subjectOfEvent({ sub_id: { format: 'aliases', identifiers } }, {}).accounts).toHaveLength(16);
  });
});

describe('the time of an event', () => {
  test.each([
    ['when the token was issued', { iat: 1_000 }, {}, 1_000_000],
    ['what the token says', { iat: 1_000, toe: 900 }, { event_timestamp: 800 }, 900_000],
    ['what the event says', { iat: 1_000 }, { event_timestamp: 800 }, 800_000],
    ['never after it was told', { iat: 1_000, toe: 2_000 }, {}, 1_000_000],
    [
      'counted in milliseconds by drafts',
      { iat: 1_900_000_000 },
      { event_timestamp: 1_800_000_000_000 },
      1_800_000_000_000,
    ],
    ['unknown without a time that could be one', { iat: -1 }, {}, null],
    ['unknown when nobody says when it was told', { toe: 900 }, {}, null],
  ])('is %s', (_title, claims, event, timeMs) => {
    expect(timeOfEvent(claims, event)).toBe(timeMs);
  });
});

test('what is kept holds no token, wherever it stood', () => {
  const token = { format: 'oauth_token', token_type: 'refresh_token', token: 'secret-secret-secret' };
  const kept = withoutTokens({
    sub_id: token,
    events: { a: { subject: { ...token, format: 'x' } }, b: { sub_id: token } },
  });
  expect(JSON.stringify(kept)).not.toContain('secret');
});

test('every meaning and every known transmitter is read', () => {
  expect([...loadSecurityEvents().values()].filter((means) => means === 'grant_ended')).toHaveLength(3);
  expect(loadKnownTransmitters().get('google')).toMatchObject({ issuer: 'https://accounts.google.com/' });
});
