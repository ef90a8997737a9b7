import { adminEvent } from '../admin-events.ts';
import { admin } from '../spec-support/admin.ts';
import { specification } from '../spec-support/given.ts';
import { changePinPolicy, promoteVersion, rollBack, startCanary } from './deciders.ts';
import { rolloutEvolver, type Rollout, type RolloutEvent } from './rollout.ts';
import { versionForAuthorization, versionForRegistration, versionInUse } from './version-in-use.ts';

const providerId = 'hubspot';
const { given, stateOf } = specification<Rollout, RolloutEvent>(rolloutEvolver, providerId);
const canary = { version: 3, otherwise: 1, sharePercent: 10, connectionIds: [], registrationIds: [] };
const begun = admin.rolloutCreated();
const canaryStarted = admin.canaryStarted();
const promoted = (version: number, carriesConnections = true) =>
  adminEvent('ProviderVersionPromoted', { version, carriesConnections });
const rolledBack = (version: number) => adminEvent('ProviderVersionRolledBack', { version, reason: null });

const numbered = (n: number) => `con_01jd${String(n).padStart(22, '0')}`;
const registrationId = 'reg_01jd0000000000000000000001';
const connection = (n = 1, pinned: number | null = 1) => ({ connectionId: numbered(n), registrationId, pinned });
const after = (...events: RolloutEvent[]) => stateOf([begun, ...events]);
const usedBy = (rollout: Rollout, pinned: number | null = 1) =>
  Array.from({ length: 1_000 }, (_, n) => versionInUse(connection(n, pinned), rollout));
const share = (versions: readonly unknown[]) => versions.filter((version) => version === 3).length / versions.length;

describe('deciding', () => {
  test('the first decision begins the rollout, whichever it is', () => {
    given([])
      .when(startCanary, { providerId, ...canary })
      .then([begun, canaryStarted]);
    given([])
      .when(promoteVersion, { providerId, version: 3, carriesConnections: true })
      .then([begun, promoted(3)]);
    const stays = adminEvent('PinPolicyChanged', { reauthorizationMovesPin: false });
    given([]).when(changePinPolicy, { providerId, reauthorizationMovesPin: false }).then([begun, stays]);
  });

  test('a repeat is no event', () => {
    given([begun, canaryStarted])
      .when(startCanary, { providerId, ...canary })
      .thenNothing();
    given([begun, promoted(3)])
      .when(promoteVersion, { providerId, version: 3, carriesConnections: true })
      .thenNothing();
    given([begun]).when(changePinPolicy, { providerId, reauthorizationMovesPin: true }).thenNothing();
  });

  test('a canary of what all use, or for nobody, is refused', () => {
    given([begun, promoted(3)])
      .when(startCanary, { providerId, ...canary })
      .thenRefused('rollout.version_in_use');
    given([])
      .when(startCanary, { providerId, ...canary, otherwise: 3 })
      .thenRefused('rollout.version_in_use');
    given([])
      .when(startCanary, { providerId, ...canary, sharePercent: 0 })
      .thenRefused('request.malformed');
  });

  test('the canary is rolled back, else the last promotion, else nothing can be', () => {
    given([begun, canaryStarted])
      .when(rollBack, { reason: null })
      .then([rolledBack(3)]);
    given([begun, promoted(1), promoted(3)])
      .when(rollBack, { reason: null })
      .then([rolledBack(3)]);
    given([begun, canaryStarted, rolledBack(3)])
      .when(rollBack, { reason: null })
      .thenRefused('rollout.nothing_to_roll_back');
    given([begun, promoted(3)])
      .when(rollBack, { reason: null })
      .then([rolledBack(3)]);
    given([begun, promoted(3), rolledBack(3)])
      .when(rollBack, { reason: null })
      .thenRefused('rollout.nothing_to_roll_back');
    given([]).when(rollBack, { reason: null }).thenRefused('rollout.nothing_to_roll_back');
  });
});

describe('the version that a connection uses', () => {
  test('is its own while nobody decides', () => {
    expect(versionInUse(connection(), undefined)).toBe(1);
    expect(versionInUse(connection(1, null), after())).toBeNull();
    expect(versionInUse(connection(1, 2), after(promoted(3, false)))).toBe(2);
  });

  test('in a canary about the share has the new one, always the same connections, and a larger share holds them all', () => {
    const some = usedBy(after(canaryStarted));
    expect(share(some)).toBeGreaterThan(0.05);
    expect(share(some)).toBeLessThan(0.2);
    const half = usedBy(after(admin.canaryStarted({ sharePercent: 50 })));
    expect(share(half)).toBeGreaterThan(0.4);
    expect(some.every((version, n) => version === 1 || half[n] === 3)).toBe(true);
    expect(share(usedBy(after(admin.canaryStarted({ sharePercent: 100 }))))).toBe(1);
  });

  test('is the canary’s for whom it names', () => {
    const named = (data: object) => after(admin.canaryStarted({ sharePercent: 0, ...data }));
    expect(versionInUse(connection(1), named({ connectionIds: [numbered(1)] }))).toBe(3);
    expect(versionInUse(connection(2), named({ connectionIds: [numbered(1)] }))).toBe(1);
    expect(share(usedBy(named({ registrationIds: [registrationId] })))).toBe(1);
  });

  test('after a rollback is the one of before, also for what was made in the canary', () => {
    const rollout = after(admin.canaryStarted({ sharePercent: 100 }), rolledBack(3));
    expect([1, 3, null].map((pinned) => versionInUse(connection(1, pinned), rollout))).toEqual([1, 1, 1]);
    expect(versionForAuthorization(connection(1, null), rollout)).toBe(1);
    const promotedOnce = after(promoted(1, false), promoted(3), rolledBack(3));
    expect([1, 3].map((pinned) => versionInUse(connection(1, pinned), promotedOnce))).toEqual([1, 1]);
  });

  test('after a promotion is the promoted one where it carries connections; otherwise pins hold', () => {
    expect(share(usedBy(after(canaryStarted, promoted(3))))).toBe(1);
    expect(share(usedBy(after(canaryStarted, promoted(3, false))))).toBe(0);
    expect(versionForAuthorization(connection(1, null), after(promoted(3, false)))).toBe(3);
  });

  test('moves with a re-authorization, unless the policy says that pins stay', () => {
    const stays = adminEvent('PinPolicyChanged', { reauthorizationMovesPin: false });
    expect(versionForAuthorization(connection(), after(promoted(3, false)))).toBe(3);
    expect(versionForAuthorization(connection(), after(promoted(3, false), stays))).toBe(1);
    expect(versionForAuthorization(connection(1, null), after(promoted(3, false), stays))).toBe(3);
  });
});

describe('a registration itself, before a connection is known', () => {
  test('goes by the canary that names it, else by what new connections get, else by the newest', () => {
    expect(versionForRegistration(registrationId, undefined)).toBeNull();
    expect(versionForRegistration(registrationId, after(promoted(2, false)))).toBe(2);
    const named = adminEvent('ProviderCanaryStarted', { ...canary, registrationIds: [registrationId] });
    expect(versionForRegistration(registrationId, after(promoted(2), named))).toBe(3);
    expect(versionForRegistration('reg_01jd0000000000000000000002', after(promoted(2), named))).toBe(2);
    expect(versionForRegistration(registrationId, after(promoted(2), named, rolledBack(3)))).toBe(2);
  });

  test('is in no share, which is of connections', () => {
    const everybody = adminEvent('ProviderCanaryStarted', { ...canary, sharePercent: 100 });
    expect(versionForRegistration(registrationId, after(everybody))).toBe(canary.otherwise);
  });
});
