import { newId } from '@postern/contracts';
import { randomToken, Secret } from '@postern/crypto';

import { callbackPath, pageCookie, sentCookie } from './browser-state.ts';
import { openCompletionCode, sealCompletionCode } from './completion-code.ts';
import { clearCookieHeader, readCookie, setCookieHeader } from './cookies.ts';

const key = Secret.from(new Uint8Array(32).fill(1));
const otherKey = Secret.from(new Uint8Array(32).fill(2));
const registrationId = newId('registration');
const sent = {
  sessionId: newId('session'),
  tenantId: newId('tenant'),
  connectionId: newId('connection'),
  registrationId,
  state: randomToken(),
  codeVerifier: randomToken(),
  nonce: randomToken(),
  expiresAtMs: 1_800_000_000_000,
};
const set = { cookie: sentCookie, key, value: sent, path: callbackPath(registrationId), maxAgeMs: 599_999 };
const pairOf = (header: string) => header.split(';')[0] ?? '';

describe('a sealed cookie', () => {
  test('is kept from scripts, other paths and foreign posts, and from plain http where there is TLS', () => {
    const header = setCookieHeader({ ...set, secure: true });
    expect(header).toMatch(/; Path=\/oauth\/callback\/reg_\w+; Max-Age=599; HttpOnly; SameSite=Lax; Secure$/);
    expect(setCookieHeader({ ...set, secure: false })).not.toContain('Secure');
    expect(clearCookieHeader(sentCookie, '/x')).toContain('Max-Age=0');
  });

  test('opens under its own key and name only', () => {
    const pair = pairOf(setCookieHeader({ ...set, secure: true }));
    expect(readCookie(sentCookie, `a=b; ${pair}; c=d`, key)).toEqual(sent);
    expect(readCookie(sentCookie, pair, otherKey)).toBeUndefined();
    expect(readCookie(pageCookie, pair.replace(sentCookie.name, pageCookie.name), key)).toBeUndefined();
    expect(readCookie(sentCookie, `${pair}x`, key)).toBeUndefined();
    expect(readCookie(sentCookie, undefined, key)).toBeUndefined();
  });

  test("is found behind somebody else's of the same name", () => {
    const pair = pairOf(setCookieHeader({ ...set, secure: true }));
    expect(readCookie(sentCookie, `${sentCookie.name}=planted; ${pair}`, key)).toEqual(sent);
  });

  test('is found by its whole name', () => {
    const pair = pairOf(setCookieHeader({ ...set, secure: true }));
    expect(readCookie(sentCookie, `x${pair}`, key)).toBeUndefined();
  });

  test('fits into a browser with everything at its longest', () => {
    expect(setCookieHeader({ ...set, secure: true }).length).toBeLessThan(1024);
  });
});

test('a cookie is no completion code, and a code of another key is none', () => {
  const { sessionId, tenantId, connectionId, expiresAtMs } = sent;
  const code = { sessionId, tenantId, connectionId, platformId: newId('platform'), accountDigest: null, expiresAtMs };
  const sealed = sealCompletionCode(key, code);
  expect(openCompletionCode(key, sealed)).toEqual(code);
  expect(openCompletionCode(otherKey, sealed)).toBeUndefined();
  const cookie = pairOf(setCookieHeader({ ...set, secure: true })).split('=')[1] ?? '';
  expect(openCompletionCode(key, cookie)).toBeUndefined();
});
