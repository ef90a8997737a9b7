import { Injectable } from '@nestjs/common';
import { newId, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingPlatform, Serves } from '@postern/service';

import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { askedScopes } from './asked-scopes.ts';
import { SessionStarter } from './session-starter.ts';

/** `connections.connect`: a platform begins a connect session for its own logged-in user. */
@Injectable()
export class StartSession {
  readonly #directory: Directory;
  readonly #digests: Digests;
  readonly #providers: ProviderClients;
  readonly #starter: SessionStarter;

  constructor(directory: Directory, digests: Digests, providers: ProviderClients, starter: SessionStarter) {
    this.#directory = directory;
    this.#digests = digests;
    this.#providers = providers;
    this.#starter = starter;
  }

  @Serves(operations.startSession)
  async start(
    request: RequestOf<typeof operations.startSession>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.startSession>> {
    const { tenantId, platformId } = callingPlatform(call);
    const platform = await this.#directory.activePlatform({ tenantId, platformId });
    const registration = await this.#directory.activeRegistration({
      tenantId,
      registrationId: request.registration_id,
      providerId: request.provider,
    });
    assertPlaceToGo(request);
    const connectionId = newId('connection');
    const provider = this.#providers.forSession(registration, { connectionId, pinned: null });
    return await this.#starter.start({
      tenantId,
      connectionId,
      purpose: 'connect',
      platform,
      registration,
      provider,
      endUserDigest: this.#digests.endUser({ tenantId, platformId, endUser: request.end_user }),
      scopes: askedScopes(request, { registration, provider }) ?? registration.scopes,
      capabilities: request.capabilities,
      authorizationDetails: request.authorization_details,
      returnUrl: request.return_url ?? '',
      ...(request.grant === 'device_code' && { grant: 'device_code' }),
      actor: { type: 'platform', id: platformId },
    });
  }
}

/** Only who shows a user code itself needs no browser, and so no place for it to go back to. */
function assertPlaceToGo({ grant, return_url: returnUrl }: RequestOf<typeof operations.startSession>): void {
  if (returnUrl !== undefined || grant === 'device_code') return;
  throw new PosternError('request.malformed', 'The member return_url is missing.', {
    details: { fields: [{ path: 'return_url', reason: 'is missing' }] },
  });
}
