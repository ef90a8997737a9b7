import { newId } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

import { createClientRegistration, storePrivateKey } from '../admin/registrations.ts';
import { ask, establish, leaseOf } from '../provider-drill/established.ts';
import { withPostern, type PosternWorld } from '../provider-drill/provider-world.ts';

/** A client that an authorization server knows by its key. */
export interface AssertingClient {
  readonly issuer: string;
  readonly clientId: string;
  readonly key: Secret;
  readonly scopes: readonly string[];
}

/** What came of each step, in the words of Postern's own answers. */
export type JwtBearerStory = Readonly<
  Record<'established' | 'leased' | 'renewed' | 'otherKey' | 'otherAudience', string>
>;

/**
 * Takes a connection by JWT bearer through its life at a server that is none of ours: Postern as processes, its vault
 * signs.
 *
 * @source RFC 7523 §2.1
 */
export async function jwtBearerStory(
  client: AssertingClient,
  { otherKey, onProgress }: { readonly otherKey: Secret; readonly onProgress: (sentence: string) => void },
): Promise<JwtBearerStory> {
  return await withPostern(onProgress, async (world) => {
    const made = await connect(world, client);
    const id = String(made.body['connection_id']);
    const first = await leaseOf(world, id);
    const renewed = await ask(world, { id, what: 'refresh' });
    const second = await leaseOf(world, id);
    const isOther = first.body['access_token'] !== second.body['access_token'];
    return {
      established: said(made),
      leased: said(first),
      renewed: `${said(renewed)}, ${isOther ? 'another token' : 'the same token'}`,
      otherKey: said(await connect(world, { ...client, key: otherKey })),
      otherAudience: said(await connect(world, client, 'https://elsewhere.example')),
    };
  });
}

async function connect(
  world: PosternWorld,
  { issuer, clientId, key, scopes }: AssertingClient,
  assertionAudience?: string,
) {
  const of = { tenantId: world.tenantId, registrationId: newId('registration') };
  await createClientRegistration(world.session, {
    ...{ ...of, providerId: 'openid-connect', displayName: 'Elsewhere', clientId, assertionAudience, signs: true },
    ...{ tokenEndpointAuthMethod: 'none', parameters: { issuer }, scopes },
  });
  await storePrivateKey(world.session, { ...of, key });
  const grant = { type: 'jwt_bearer' };
  return await establish(world, { registration_id: of.registrationId, grant, scopes: [...scopes] });
}

function said({ status, body }: { readonly status: number; readonly body: Readonly<Record<string, unknown>> }): string {
  const { code, detail } = body;
  return typeof code === 'string' ? `${status} ${code} ${String(detail)}` : String(status);
}
