import { CookieJar } from './cookie-jar.ts';

const page = new URL('http://127.0.0.1:8000/a/b/page');

function jarWith(...lines: string[]): CookieJar {
  const jar = new CookieJar();
  jar.store(page, lines);
  return jar;
}

function sent(jar: CookieJar, url: string, use: { method?: string; initiator?: string } = {}): string {
  return jar.header(new URL(url), {
    method: use.method ?? 'GET',
    initiator: use.initiator ? new URL(use.initiator) : undefined,
  });
}

test('a cookie belongs to its host, whatever the port', () => {
  const jar = jarWith('s=1; Path=/');
  expect(sent(jar, 'http://127.0.0.1:9000/')).toBe('s=1');
  expect(sent(jar, 'http://localhost:8000/')).toBe('');
});

test('a cookie is sent below its path only, at segment borders, the longest path first', () => {
  const jar = jarWith('root=1; Path=/', 'deep=2; Path=/a/b', 'own=3');
  expect(sent(jar, 'http://127.0.0.1/a/b/c')).toBe('deep=2; own=3; root=1');
  expect(sent(jar, 'http://127.0.0.1/a/b')).toBe('deep=2; own=3; root=1');
  expect(sent(jar, 'http://127.0.0.1/a/bc')).toBe('root=1');
});

test('a cookie is replaced by name, domain and path, and forgotten when it expires', () => {
  const jar = jarWith('s=1; Path=/', 's=2; Path=/', 't=1; Path=/');
  expect(jar.get(page, 's')).toBe('2');
  jar.store(page, ['s=; Path=/; Max-Age=0', 't=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT']);
  expect(sent(jar, page.href)).toBe('');
});

test('secure cookies live on the loopback and over TLS, not on other plain hosts', () => {
  expect(sent(jarWith('s=1; Path=/; Secure'), page.href)).toBe('s=1');
  const jar = new CookieJar();
  jar.store(new URL('http://acme.example/'), ['s=1; Secure']);
  jar.store(new URL('https://acme.example/'), ['t=1; Secure']);
  expect(sent(jar, 'https://acme.example/')).toBe('t=1');
  expect(sent(jar, 'http://acme.example/')).toBe('');
});

test.each([
  '__Host-s=1; Secure; Path=/a',
  '__Host-s=1; Path=/',
  '__Host-s=1; Secure; Path=/; Domain=127.0.0.1',
  '__Secure-s=1',
  's=1; SameSite=None',
  's=1; Domain=other.example',
  '=1',
])('a cookie that breaks a rule is not kept: %s', (line) => {
  expect(jarWith(line).list()).toEqual([]);
});

test('a cookie with the __Host- prefix that keeps its rules is kept', () => {
  expect(sent(jarWith('__Host-s=1; Secure; Path=/; HttpOnly'), 'http://127.0.0.1/')).toBe('__Host-s=1');
});

test('from another site strict cookies never come, lax ones with a GET only, and ports make no other site', () => {
  const jar = jarWith('strict=1; Path=/; SameSite=Strict', 'lax=1; Path=/', 'none=1; Path=/; SameSite=None; Secure');
  expect(sent(jar, page.href, { initiator: 'http://localhost:1/' })).toBe('lax=1; none=1');
  expect(sent(jar, page.href, { initiator: 'http://localhost:1/', method: 'POST' })).toBe('none=1');
  expect(sent(jar, page.href, { initiator: 'http://127.0.0.1:1/', method: 'POST' })).toBe('strict=1; lax=1; none=1');
});

test('a domain cookie reaches the hosts below', () => {
  const jar = new CookieJar();
  jar.store(new URL('https://a.acme.example/'), ['s=1; Domain=.acme.example']);
  expect(sent(jar, 'https://b.acme.example/')).toBe('s=1');
  expect(sent(jar, 'https://notacme.example/')).toBe('');
});
