import { StaticSecret } from './static-credentials.ts';

const fits = (secret: unknown) => StaticSecret.safeParse(secret).success;

test.each([
  { api_key: 'sk_live_1' },
  { api_key: 'Token with spaces' },
  { username: 'ada@acme.example', password: 'p:q' },
  { username: 'key' },
  { headers: { 'X-Key': 'k' } },
])('a secret is one of three forms: %j', (secret) => {
  expect(fits(secret)).toBe(true);
});

test.each([
  {},
  { api_key: '' },
  { api_key: 'k\r\nX-Evil: 1' },
  { api_key: ' k' },
  { api_key: 'k', password: 'p' },
  { api_key: 'schlüssel' },
  { username: 'a:b', password: 'p' },
  { username: 'a', password: 'p\n' },
  { headers: { 'X Key': 'k' } },
  { headers: { 'X-Key': 'k\n' } },
  { headers: Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`x-${index}`, 'k'])) },
  'sk_live_1',
])('and nothing that could begin another header: %j', (secret) => {
  expect(fits(secret)).toBe(false);
});
