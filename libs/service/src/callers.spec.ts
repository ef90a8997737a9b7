import { administratorToken } from '@postern/contracts';
import type { Call } from '@postern/nats';

import { callingApp, callingOwner, callingPlatform } from './callers.ts';

const call = (caller: object) => ({ caller }) as Call;
const platform = call({ tenantId: 'ten_a', platformId: 'plt_b' });
const administrator = call({ tenantId: 'ten_a', platformId: administratorToken });
const service = call({ app: 'refresh' });
const forbidden = expect.objectContaining({ code: 'auth.forbidden' });

test('a platform owns what is its own, an administrator the whole tenant, a service nothing', () => {
  expect(callingOwner(platform)).toEqual({
    tenantId: 'ten_a',
    platformId: 'plt_b',
    actor: { type: 'platform', id: 'plt_b' },
  });
  expect(callingOwner(administrator)).toMatchObject({ tenantId: 'ten_a', actor: { type: 'administrator' } });
  expect(() => callingOwner(service)).toThrow(forbidden);
});

test('an administrator is not a platform', () => {
  expect(callingPlatform(platform)).toEqual({ tenantId: 'ten_a', platformId: 'plt_b' });
  expect(() => callingPlatform(administrator)).toThrow(forbidden);
});

test('only the services that are named may call', () => {
  expect(callingApp(service, ['refresh', 'vault'])).toBe('refresh');
  expect(() => callingApp(service, ['revocation'])).toThrow(forbidden);
  expect(() => callingApp(platform, ['refresh'])).toThrow(forbidden);
});
