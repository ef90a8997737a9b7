import {
  administratorEvolver,
  createAdministrator,
  disableAdministrator,
  issueAdministratorCredentials,
} from './administrator/administrator.ts';
import { agentEvolver, createAgent, disableAgent } from './agent/agent.ts';
import { bridgeEvolver, createBridge, disableBridge, issueBridgeCredentials } from './bridge/bridge.ts';
import { createPlatform, disablePlatform, issuePlatformCredentials, issuePlatformSecret } from './platform/deciders.ts';
import { platformEvolver } from './platform/platform.ts';
import {
  createRegistration,
  disableRegistration,
  retireRegistrationSecret,
  storeRegistrationSecret,
} from './registration/deciders.ts';
import { registrationEvolver, secretsInUse, type RegistrationEvent } from './registration/registration.ts';
import { admin, administratorId, agentId, natsUser, secretHash } from './spec-support/admin.ts';
import { platformId, registrationId } from './spec-support/connection.ts';
import { secondMs, specification, startMs, tenantId } from './spec-support/given.ts';
import { createTenant, disableTenant, tenantEvolver } from './tenant/tenant.ts';
import {
  changeTransmitterScope,
  createTransmitter,
  disableTransmitter,
  transmitterEvolver,
} from './transmitter/transmitter.ts';
import {
  createWebhook,
  disableWebhook,
  hears,
  recordWebhookGone,
  storeWebhookSecret,
  webhookEvolver,
  webhookSecretsInUse,
} from './webhook/webhook.ts';

const reason = { reason: null };

describe('a tenant', () => {
  const { given, stateOf } = specification(tenantEvolver, tenantId);

  test('begins once: a repeat is no event, another of that id is refused', () => {
    given([]).when(createTenant, { name: 'Example' }).then([admin.tenantCreated()]);
    given([admin.tenantCreated()]).when(createTenant, { name: 'Example' }).thenNothing();
    given([admin.tenantCreated()]).when(createTenant, { name: 'Other' }).thenRefused('tenant.exists');
    expect(stateOf([admin.tenantCreated()])).toEqual({
      exists: true,
      tenantId,
      name: 'Example',
      createdAtMs: startMs,
      disabled: false,
    });
  });

  test('is disabled once', () => {
    given([]).when(disableTenant, reason).thenRefused('tenant.not_found');
    given([admin.tenantCreated()]).when(disableTenant, { reason: 'contract ended' }).then([admin.tenantDisabled()]);
    given([admin.tenantCreated(), admin.tenantDisabled()]).when(disableTenant, reason).thenNothing();
  });

  test('nothing counts before its beginning, and it begins once', () => {
    expect(stateOf([admin.tenantDisabled()])).toBe(tenantEvolver.initialState);
    expect(stateOf([admin.tenantCreated(), admin.tenantCreated('Other')]).name).toBe('Example');
  });
});

describe('a platform', () => {
  const { given, stateOf } = specification(platformEvolver, platformId);
  const create = admin.platformCreated().data;
  const created = [admin.platformCreated()];
  const disabled = [...created, admin.platformDisabled()];

  test('begins once', () => {
    given([]).when(createPlatform, create).then(created);
    given(created).when(createPlatform, create).thenNothing();
    given(created)
      .when(createPlatform, { ...create, returnUrls: [] })
      .thenRefused('platform.exists');
  });

  test('the newest secret and the newest credentials count', () => {
    given(created).when(issuePlatformSecret, { secretHash }).then([admin.platformSecretIssued()]);
    given(created).when(issuePlatformCredentials, { natsUser }).then([admin.platformCredentialsIssued()]);
    const issued = [...created, admin.platformSecretIssued(), admin.platformCredentialsIssued()];
    given(issued).when(issuePlatformSecret, { secretHash }).thenNothing();
    given(issued).when(issuePlatformCredentials, { natsUser }).thenNothing();
    const newer = [...issued, admin.platformSecretIssued('$argon2id$newer')];
    expect(stateOf(newer)).toMatchObject({ platformId, secretHash: '$argon2id$newer', natsUser });
  });

  test('gets nothing once it is disabled', () => {
    given(created).when(disablePlatform, reason).then([admin.platformDisabled()]);
    given(disabled).when(disablePlatform, reason).thenNothing();
    given(disabled).when(issuePlatformSecret, { secretHash }).thenRefused('platform.disabled');
    given(disabled).when(issuePlatformCredentials, { natsUser }).thenRefused('platform.disabled');
    expect(stateOf(disabled).disabled).toBe(true);
  });

  test('must have begun', () => {
    given([]).when(disablePlatform, reason).thenRefused('platform.not_found');
    given([]).when(issuePlatformSecret, { secretHash }).thenRefused('platform.not_found');
    given([]).when(issuePlatformCredentials, { natsUser }).thenRefused('platform.not_found');
  });
});

describe('an agent', () => {
  const { given, stateOf } = specification(agentEvolver, agentId);
  const create = admin.agentCreated().data;
  const created = [admin.agentCreated()];

  test('begins once, under one platform', () => {
    given([]).when(createAgent, create).then(created);
    given(created).when(createAgent, create).thenNothing();
    given(created)
      .when(createAgent, { ...create, platformId: 'plt_01jd0000000000000000000009' })
      .thenRefused('agent.exists');
    expect(stateOf(created)).toMatchObject({ agentId, platformId, disabled: false });
  });

  test('is disabled once', () => {
    given([]).when(disableAgent, reason).thenRefused('agent.not_found');
    given(created).when(disableAgent, reason).then([admin.agentDisabled()]);
    given([...created, admin.agentDisabled()])
      .when(disableAgent, reason)
      .thenNothing();
  });
});

describe('an administrator', () => {
  const { given, stateOf } = specification(administratorEvolver, administratorId);
  const created = [admin.administratorCreated()];
  const disabled = [...created, admin.administratorDisabled()];

  test('begins once', () => {
    given([]).when(createAdministrator, { label: 'operations' }).then(created);
    given(created).when(createAdministrator, { label: 'operations' }).thenNothing();
    given(created).when(createAdministrator, { label: 'other' }).thenRefused('administrator.exists');
  });

  test('gets credentials until it is disabled', () => {
    given(created).when(issueAdministratorCredentials, { natsUser }).then([admin.administratorCredentialsIssued()]);
    given([...created, admin.administratorCredentialsIssued()])
      .when(issueAdministratorCredentials, { natsUser })
      .thenNothing();
    given(disabled).when(issueAdministratorCredentials, { natsUser }).thenRefused('administrator.disabled');
    given([]).when(issueAdministratorCredentials, { natsUser }).thenRefused('administrator.not_found');
    expect(stateOf([...created, admin.administratorCredentialsIssued()])).toMatchObject({ administratorId, natsUser });
  });

  test('is disabled once', () => {
    given([]).when(disableAdministrator, reason).thenRefused('administrator.not_found');
    given(created).when(disableAdministrator, reason).then([admin.administratorDisabled()]);
    given(disabled).when(disableAdministrator, reason).thenNothing();
  });
});

describe('a client registration', () => {
  const { given, stateOf } = specification(registrationEvolver, registrationId);
  const create = admin.registrationCreated().data;
  const created = [admin.registrationCreated()];
  const disabled = [...created, admin.registrationDisabled()];

  test('begins once', () => {
    given([]).when(createRegistration, create).then(created);
    given(created).when(createRegistration, create).thenNothing();
    given(created)
      .when(createRegistration, { ...create, clientId: 'another' })
      .thenRefused('registration.exists');
  });

  test('that its tokens are bound is said when it begins, and stays so', () => {
    const bound = { ...create, dpopBoundAccessTokens: true as const };
    const began = [admin.registrationCreated({ dpopBoundAccessTokens: true })];
    given([]).when(createRegistration, bound).then(began);
    given(began).when(createRegistration, bound).thenNothing();
    given(began).when(createRegistration, create).thenRefused('registration.exists');
    given(created).when(createRegistration, bound).thenRefused('registration.exists');
  });

  test('of a certificate everybody may know which it is and when it ends', () => {
    const certificate = { x5tS256: 'x'.repeat(43), notAfterMs: 1_800_000_000_000 };
    const stored = { kind: 'tls_certificate' as const, secretVersion: 1, publicJwk: null, certificate };
    given(created)
      .when(storeRegistrationSecret, { ...stored, overlapMs: null, nowMs: 0 })
      .then([admin.registrationSecretStored(stored)]);
    const { secrets } = stateOf([...created, admin.registrationSecretStored(stored)]);
    expect(secrets).toMatchObject([{ kind: 'tls_certificate', certificate }]);
  });

  test('that its tokens are bound to its certificate is said when it begins, of a client that authenticates alone', () => {
    const wish = { tlsClientCertificateBoundAccessTokens: true as const };
    const began = [admin.registrationCreated(wish)];
    given([])
      .when(createRegistration, { ...create, ...wish })
      .then(began);
    given(began)
      .when(createRegistration, { ...create, ...wish })
      .thenNothing();
    given(began).when(createRegistration, create).thenRefused('registration.exists');
    expect(stateOf(began)).toMatchObject(wish);
    given([])
      .when(createRegistration, { ...create, ...wish, tokenEndpointAuthMethod: 'none' })
      .thenRefused('request.malformed');
  });

  test('what its tokens are for, and that its requests are signed, is said when it begins, and stays so', () => {
    const audience = 'https://acme.example';
    const wishes = { resource: 'https://api.acme.example/v1', requireSignedRequestObject: true as const };
    const wanting = { ...create, ...wishes, assertionAudience: audience };
    const began = [admin.registrationCreated({ ...wishes, assertionAudience: audience })];
    given([]).when(createRegistration, wanting).then(began);
    given(began).when(createRegistration, wanting).thenNothing();
    expect(stateOf(began)).toMatchObject(wishes);
    given(began)
      .when(createRegistration, { ...wanting, resource: 'https://other.example' })
      .thenRefused('registration.exists');
    given([])
      .when(createRegistration, { ...create, ...wishes })
      .thenRefused('request.malformed');
  });

  test('its parameters have no order but that of their names', () => {
    const shuffled = { ...create, parameters: { region: 'eu', issuer: 'https://acme.example' } };
    given(created).when(createRegistration, shuffled).thenNothing();
    const states = [created, [admin.registrationCreated({ parameters: shuffled.parameters })]].map((events) =>
      JSON.stringify(stateOf(events)),
    );
    expect(states[0]).toBe(states[1]);
  });

  const secret = {
    kind: 'client_secret',
    secretVersion: 2,
    publicJwk: null,
    overlapMs: 5 * secondMs,
    nowMs: startMs + 2 * secondMs,
  } as const;
  const first = [...created, admin.registrationSecretStored()];
  const endsAtMs = startMs + 7 * secondMs;
  const both = [...first, admin.registrationSecretStored({ secretVersion: 2, previousEndsAtMs: endsAtMs })];
  const versionsAt = (events: readonly RegistrationEvent[], nowMs: number) =>
    secretsInUse(stateOf(events), { kind: 'client_secret', nowMs }).map(({ version }) => version);

  test('a new secret is in use at once, and the one before it until its time is over', () => {
    given(first).when(storeRegistrationSecret, secret).then(both.slice(-1));
    expect(versionsAt(both, endsAtMs - 1)).toEqual([2, 1]);
    expect(versionsAt(both, endsAtMs)).toEqual([2]);
    const atOnce = { ...secret, overlapMs: 0 };
    expect(given(first).when(storeRegistrationSecret, atOnce).thenState().secrets).toMatchObject([{ version: 2 }]);
    const untilRetired = given(first)
      .when(storeRegistrationSecret, { ...secret, overlapMs: null })
      .thenState();
    expect(untilRetired.secrets).toMatchObject([{ version: 2 }, { version: 1, endsAtMs: null }]);
  });

  test('the newest secret counts, in whatever order they come', () => {
    given(both).when(storeRegistrationSecret, secret).thenNothing();
    given(both)
      .when(storeRegistrationSecret, { ...secret, secretVersion: 1 })
      .thenNothing();
    expect(stateOf([...both, admin.registrationSecretStored()])).toEqual(stateOf(both));
  });

  test('each kind of secret has versions of its own, and an older one no more time than it was given', () => {
    const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: 'x'.repeat(43), alg: 'EdDSA', use: 'sig', kid: 'k' } as const;
    const key = admin.registrationSecretStored({ kind: 'private_key', publicJwk });
    const third = admin.registrationSecretStored({ secretVersion: 3, previousEndsAtMs: endsAtMs + 1 });
    const { secrets } = stateOf([...both, key, third]);
    expect(secrets.map(({ kind, version, endsAtMs: ends }) => [kind, version, ends])).toEqual([
      ['private_key', 1, null],
      ['client_secret', 3, null],
      ['client_secret', 2, endsAtMs + 1],
      ['client_secret', 1, endsAtMs],
    ]);
    expect(secrets[0]?.publicJwk).toEqual(publicJwk);
    const shuffled = { kid: 'k', use: 'sig', alg: 'EdDSA', x: publicJwk.x, crv: 'Ed25519', kty: 'OKP' } as const;
    const same = admin.registrationSecretStored({ kind: 'private_key', publicJwk: shuffled });
    expect(JSON.stringify(stateOf([...both, same]))).toBe(JSON.stringify(stateOf([...both, key])));
    const fourth = admin.registrationSecretStored({ secretVersion: 4 });
    expect(versionsAt([...both, key, third, fourth], 0)).toEqual([4, 3, 2]);
  });

  test('an older secret can be retired, the one in use cannot', () => {
    const retire = { kind: 'client_secret', secretVersion: 1 } as const;
    given(both).when(retireRegistrationSecret, retire).then([admin.registrationSecretRetired()]);
    given([...both, admin.registrationSecretRetired()])
      .when(retireRegistrationSecret, retire)
      .thenNothing();
    expect(versionsAt([...both, admin.registrationSecretRetired()], 0)).toEqual([2]);
    given(both)
      .when(retireRegistrationSecret, { ...retire, kind: 'webhook_secret' })
      .thenNothing();
    const current = { ...retire, secretVersion: 2 };
    given(both).when(retireRegistrationSecret, current).thenRefused('registration.secret_in_use');
    given([...both, admin.registrationDisabled()])
      .when(retireRegistrationSecret, current)
      .then([admin.registrationSecretRetired({ secretVersion: 2 })]);
    given([]).when(retireRegistrationSecret, retire).thenRefused('registration.not_found');
  });

  test('who signs says for whom', () => {
    const signing = {
      ...create,
      tokenEndpointAuthMethod: 'private_key_jwt',
      assertionAudience: 'https://acme.example',
    } as const;
    const began = [admin.registrationCreated(signing)];
    given([]).when(createRegistration, signing).then(began);
    given(began).when(createRegistration, signing).thenNothing();
    given(began)
      .when(createRegistration, { ...signing, assertionAudience: 'https://other.example' })
      .thenRefused('registration.exists');
    const { assertionAudience, ...without } = signing;
    given([]).when(createRegistration, without).thenRefused('request.malformed');
    // Its key may sign for grants alone (RFC 7523 §2.1).
    const forGrants = { ...create, assertionAudience };
    given([])
      .when(createRegistration, forGrants)
      .then([admin.registrationCreated(forGrants)]);
  });

  test('gets nothing once it is disabled', () => {
    given(created).when(disableRegistration, reason).then([admin.registrationDisabled()]);
    given(disabled).when(disableRegistration, reason).thenNothing();
    given(disabled).when(storeRegistrationSecret, secret).thenRefused('registration.disabled');
    given([]).when(disableRegistration, reason).thenRefused('registration.not_found');
    given([]).when(storeRegistrationSecret, secret).thenRefused('registration.not_found');
  });
});

describe('a transmitter', () => {
  const { given, stateOf } = specification(transmitterEvolver, 'trm_01jd0000000000000000000001');
  const created = [admin.transmitterCreated()];
  const disabled = [...created, admin.transmitterDisabled()];
  const other = admin.transmitterScopeChanged().data;

  test('begins once', () => {
    given([]).when(createTransmitter, admin.transmitterCreated().data).then(created);
    given(created).when(createTransmitter, admin.transmitterCreated().data).thenNothing();
    given(created)
      .when(createTransmitter, admin.transmitterCreated({ issuer: 'https://other.example' }).data)
      .thenRefused('transmitter.exists');
  });

  test('may speak about what was said last, and about nothing else', () => {
    given([]).when(changeTransmitterScope, other).thenRefused('transmitter.not_found');
    given(created).when(changeTransmitterScope, other).then([admin.transmitterScopeChanged()]);
    given([...created, admin.transmitterScopeChanged()])
      .when(changeTransmitterScope, other)
      .thenNothing();
    given(disabled).when(changeTransmitterScope, other).thenRefused('transmitter.disabled');
    expect(stateOf([...created, admin.transmitterScopeChanged()]).speaksFor).toEqual(other.speaksFor);
  });

  test('is disabled once', () => {
    given([]).when(disableTransmitter, reason).thenRefused('transmitter.not_found');
    given(created).when(disableTransmitter, reason).then([admin.transmitterDisabled()]);
    given(disabled).when(disableTransmitter, reason).thenNothing();
  });
});

describe('a bridge', () => {
  const { given, stateOf } = specification(bridgeEvolver, 'brg_01jd0000000000000000000001');
  const created = [admin.bridgeCreated()];
  const disabled = [...created, admin.bridgeDisabled()];

  test('begins once', () => {
    given([]).when(createBridge, admin.bridgeCreated().data).then(created);
    given(created).when(createBridge, admin.bridgeCreated().data).thenNothing();
    given(created).when(createBridge, admin.bridgeCreated('Other').data).thenRefused('bridge.exists');
  });

  test('has the user that was made last, and none once it is disabled', () => {
    given(created).when(issueBridgeCredentials, { natsUser }).then([admin.bridgeCredentialsIssued()]);
    given([...created, admin.bridgeCredentialsIssued()])
      .when(issueBridgeCredentials, { natsUser })
      .thenNothing();
    given(disabled).when(issueBridgeCredentials, { natsUser }).thenRefused('bridge.disabled');
    expect(stateOf([...created, admin.bridgeCredentialsIssued()]).natsUser).toBe(natsUser);
  });

  test('is disabled once', () => {
    given([]).when(disableBridge, reason).thenRefused('bridge.not_found');
    given(created).when(disableBridge, reason).then([admin.bridgeDisabled()]);
    given(disabled).when(disableBridge, reason).thenNothing();
  });
});

describe('a webhook', () => {
  const { given, stateOf } = specification(webhookEvolver, 'whk_01jd0000000000000000000001');
  const created = [admin.webhookCreated()];
  const disabled = [...created, admin.webhookDisabled()];
  const gone = admin.webhookGone();
  const secret = { secretVersion: 1, overlapMs: 1_000, nowMs: startMs };
  const rotated = [
    ...created,
    admin.webhookSecretStored({ previousEndsAtMs: startMs }),
    admin.webhookSecretStored({ secretVersion: 2, previousEndsAtMs: startMs + 60_000 }),
  ];
  const versionsAt = (nowMs: number) => webhookSecretsInUse(stateOf(rotated), nowMs).map(({ version }) => version);

  test('begins once', () => {
    given([]).when(createWebhook, admin.webhookCreated().data).then(created);
    given(created).when(createWebhook, admin.webhookCreated().data).thenNothing();
    given(created)
      .when(createWebhook, admin.webhookCreated({ url: 'https://other.example/' }).data)
      .thenRefused('webhook.exists');
  });

  test('signs with the secret before the newest one too until the overlap is over', () => {
    given([]).when(storeWebhookSecret, secret).thenRefused('webhook.not_found');
    given(created)
      .when(storeWebhookSecret, secret)
      .then([admin.webhookSecretStored({ previousEndsAtMs: startMs + 1_000 })]);
    given(rotated).when(storeWebhookSecret, secret).thenNothing();
    given(disabled).when(storeWebhookSecret, secret).thenRefused('webhook.disabled');
    expect([versionsAt(startMs + 59_999), versionsAt(startMs + 60_000)]).toEqual([[2, 1], [2]]);
  });

  test('hears what it asks for, everything when it asks for nothing, and nothing once it is disabled', () => {
    const types = ['connection.revoked', 'connection.deleted'];
    const heard = (events: Parameters<typeof stateOf>[0]) => types.filter((type) => hears(stateOf(events), type));
    expect(heard(created)).toEqual(['connection.revoked']);
    expect(heard([admin.webhookCreated({ types: [] })])).toEqual(types);
    expect(heard([...created, gone])).toEqual([]);
  });

  test('is disabled once, by an administrator or by its own word', () => {
    given([]).when(disableWebhook, reason).thenRefused('webhook.not_found');
    given(created).when(disableWebhook, reason).then([admin.webhookDisabled()]);
    given(disabled).when(disableWebhook, reason).thenNothing();
    given([]).when(recordWebhookGone, gone.data).thenRefused('webhook.not_found');
    given(created).when(recordWebhookGone, gone.data).then([gone]);
    given(disabled).when(recordWebhookGone, gone.data).thenNothing();
    expect(stateOf([...created, gone])).toMatchObject({ disabled: true, gone: true });
  });
});
