import { randomBytes } from 'node:crypto';

import { newId, operations } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { createTransmitter, transmitterEvolver } from '@postern/domain';
import { acmeAccounts, waitFor } from '@postern/testing';

import { decideAdmin } from '../admin/decide.ts';
import { createClientRegistration, storeSecret } from '../admin/registrations.ts';
import { expectThat, type Proof } from './expect-that.ts';
import { connectedAtSlack, slackBot, slackSays } from './slack-connection.ts';
import type { World } from './world.ts';

const purged = 'https://schemas.openid.net/secevent/risc/event-type/account-purged';
const patienceMs = 30_000;

/** Two that know before any refresh could: a transmitter of security events, and a provider's webhook. */
export async function hearFromOutside(world: World): Promise<Proof> {
  const transmitterId = await believeAcme(world);
  const slack = await registerSlack(world);
  const slackConnectionId = await connectedAtSlack(world, slack.registrationId);
  const grace = world.otherConnectionId;
  expectThat('Grace’s token is leased until then', (await leased(world, grace)).status === 200);

  const sinceMs = performance.now();
  const [pushed, posted] = await Promise.all([
    world.acme.pushSecurityEvent({
      endpoint: `${world.stack.url}/signals/ssf/${transmitterId}`,
      ...{ audience: world.acmeClientId, type: purged, accountId: acmeAccounts.grace.accountId },
    }),
    slackSays(world, slack, { event_id: 'Ev1', event: { type: 'tokens_revoked', tokens: { bot: [slackBot.user] } } }),
  ]);
  expectThat('Postern has both before it answers', pushed === 202 && posted.status === 200, [pushed, posted.status]);
  await Promise.all([refused(world, grace), refused(world, slackConnectionId)]);
  const refusedMs = Math.round(performance.now() - sinceMs);

  const [event, webhook] = [await evidenceOf(world, grace), await evidenceOf(world, slackConnectionId)];
  expectThat('the log names the security event', event['transmitterId'] === transmitterId, event);
  expectThat('the log names the webhook', webhook['source'] === 'slack', webhook);
  return {
    ...{ acme_push: pushed, slack_webhook: posted.status, both_refused_ms: refusedMs },
    acme_evidence: shown(event),
    slack_evidence: shown(webhook),
  };
}

/** An administrator's word: Acme may speak about this registration, and about nothing else. */
async function believeAcme({ session, tenantId, acme, acmeClientId, registrationId }: World): Promise<string> {
  const id = newId('transmitter');
  await decideAdmin(session, { evolver: transmitterEvolver, tenantId, id }, (state) =>
    createTransmitter(
      {
        ...{ displayName: 'Acme', issuer: acme.issuer, audiences: [acmeClientId] },
        ...{ jwksUri: acme.endpoints.securityEventKeys, typeRequired: true },
        ...{ delivery: { method: 'push', bearerHash: null }, speaksFor: [{ tenantId, registrationId }] },
      },
      state,
    ),
  );
  return id;
}

async function registerSlack({ session, tenantId }: World) {
  const registrationId = newId('registration');
  await createClientRegistration(session, {
    ...{ tenantId, registrationId, providerId: 'slack', displayName: 'Slack', clientId: 'slack-app' },
    ...{ tokenEndpointAuthMethod: 'client_secret_post', parameters: {}, scopes: ['chat:write'] },
  });
  const secret = Secret.from(randomBytes(16).toString('hex'));
  await storeSecret(session, { tenantId, registrationId, kind: 'webhook_secret', secret });
  return { registrationId, secret };
}

async function leased({ http, agentId }: World, connectionId: string) {
  return await http.request('POST', `/v1/connections/${connectionId}/token`, { agent_id: agentId, purpose: 'demo' });
}

async function refused(world: World, connectionId: string): Promise<void> {
  await waitFor(async () => (await leased(world, connectionId)).body['code'] === 'connection.revoked', {
    ...{ timeoutMs: patienceMs, describe: 'a lease that is refused because of what was said' },
  });
}

async function evidenceOf({ session, tenantId }: World, connectionId: string): Promise<Record<string, unknown>> {
  const { events } = await session.call(operations.listEvents, tenantId, { connection_id: connectionId });
  const revoked = events.find(({ type }) => type === 'ConnectionRevoked');
  return (revoked?.data['evidence'] as Record<string, unknown> | undefined) ?? {};
}

const shown = ({ source, type, position, matchedBy }: Record<string, unknown>) => ({
  ...{ source, type: String(type).split('/').at(-1), position, matched_by: matchedBy },
});
