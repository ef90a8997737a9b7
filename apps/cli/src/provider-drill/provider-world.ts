import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { agentEvolver, createAgent, createTransmitter, transmitterEvolver } from '@postern/domain';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { temporaryDataDir } from '@postern/servers';
import {
  reachingProviders,
  reachProviders,
  startProviderInternetProcess,
  type ProviderInternet,
  type ProviderProfile,
} from '@postern/testing';

import { decideAdmin } from '../admin/decide.ts';
import { createPlatformWithAccess } from '../admin/platforms.ts';
import { createClientRegistration, redirectUriOf, storeSecret } from '../admin/registrations.ts';
import { dataFolder } from '../data-folder/paths.ts';
import { PlatformHttp } from '../demo/platform-client.ts';
import { openSession, type Session } from '../session/session.ts';
import { startStack, type Stack } from '../up/stack.ts';

const returnUrl = 'https://platform.example/connected';
const webhookSecret = 'the secret of the provider’s webhook';

/** Postern as processes, and a platform. */
export interface PosternWorld {
  readonly stack: Stack;
  readonly session: Session;
  readonly tenantId: string;
  readonly http: PlatformHttp;
  readonly agentId: string;
  readonly returnUrl: string;
}

/** The same, and the named providers as another process. */
export interface ProviderWorld extends PosternWorld {
  readonly internet: ProviderInternet;
}

/** Our client at one of the simulated providers. */
export interface ProfileClient {
  readonly registrationId: string;
  readonly clientId: string;
}

/** Starts Postern on a data folder of its own, which is gone afterwards. */
export async function withPostern<T>(
  onProgress: (sentence: string) => void,
  act: (world: PosternWorld) => Promise<T>,
): Promise<T> {
  const dataRoot = temporaryDataDir('postern-world-');
  const closers: (() => Promise<unknown>)[] = [() => rm(dataRoot, { recursive: true, force: true })];
  try {
    const folder = await dataFolder(join(dataRoot, 'data'));
    const stack = await startStack({ folder, host: '127.0.0.1', port: 0, onProgress });
    closers.push(() => stack.stop());
    const session = await openSession(folder);
    closers.push(() => session.close());
    const { tenantId } = stack;
    return await act({ stack, session, tenantId, returnUrl, ...(await platformIn(stack, session)) });
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/** The same among the simulated providers. */
export async function withProviderWorld<T>(
  onProgress: (sentence: string) => void,
  act: (world: ProviderWorld) => Promise<T>,
): Promise<T> {
  const dataRoot = temporaryDataDir('postern-providers-');
  const closers: (() => Promise<unknown> | void)[] = [() => rm(dataRoot, { recursive: true, force: true })];
  try {
    const internet = await startProviderInternetProcess(dataRoot);
    closers.push(() => internet.close());
    closers.push(reachProviders(internet));
    // The services are told by the environment, as an operator behind a proxy would tell them.
    Object.assign(process.env, reachingProviders(internet));
    return await withPostern(onProgress, (world) => act({ ...world, internet }));
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

async function platformIn(stack: Stack, session: Session): Promise<Pick<PosternWorld, 'http' | 'agentId'>> {
  const { tenantId } = stack;
  const access = await createPlatformWithAccess(session, { tenantId, name: 'Agents', returnUrls: [returnUrl] });
  const agentId = newId('agent');
  await decideAdmin(session, { evolver: agentEvolver, tenantId, id: agentId }, (state) =>
    createAgent({ platformId: access.platformId, name: 'one' }, state),
  );
  const http = new PlatformHttp(stack.url);
  const given = await http.authenticate(access.platformId, access.clientSecret);
  if (given.status !== 200) throw new Error(`the gateway gave no access token: ${given.status}`);
  return { http, agentId };
}

/** Registers us at the provider and the provider with us, as its file has it. */
export async function registerAt(world: ProviderWorld, profile: ProviderProfile): Promise<ProfileClient> {
  const { internet, session, tenantId, stack } = world;
  const registrationId = newId('registration');
  const { clientId, clientSecret } = await internet.registerClient(profile.id, redirectUriOf(session, registrationId));
  const provider = providerOf(loadCatalog(), profile.provider);
  const [tokenEndpointAuthMethod = 'none'] = provider.tokenEndpointAuthMethods;
  await createClientRegistration(session, {
    ...{ tenantId, registrationId, providerId: provider.id, displayName: profile.name, clientId },
    ...{ tokenEndpointAuthMethod, parameters: { ...profile.client.parameters }, scopes: [...profile.client.scopes] },
  });
  const at = { tenantId, registrationId };
  await storeSecret(session, { ...at, kind: 'client_secret', secret: Secret.from(clientSecret) });
  if (profile.transmitter !== undefined) {
    const transmitterId = newId('transmitter');
    const { issuer, jwksUri } = profile.transmitter;
    await decideAdmin(session, { evolver: transmitterEvolver, tenantId, id: transmitterId }, (state) =>
      createTransmitter(
        {
          ...{ displayName: profile.name, issuer, audiences: [clientId], jwksUri, typeRequired: false },
          ...{ delivery: { method: 'push', bearerHash: null }, speaksFor: [at] },
        },
        state,
      ),
    );
    await internet.setWebhook(clientId, { url: `${stack.url}/signals/ssf/${transmitterId}`, secret: '' });
  } else if (profile.notice !== null) {
    await storeSecret(session, { ...at, kind: 'webhook_secret', secret: Secret.from(webhookSecret) });
    const url = `${stack.url}/webhooks/${provider.id}/${registrationId}`;
    await internet.setWebhook(clientId, { url, secret: webhookSecret });
  }
  return { registrationId, clientId };
}
