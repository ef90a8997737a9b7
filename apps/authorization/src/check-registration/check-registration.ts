import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { Serves } from '@postern/service';

import { ProviderClients } from '../providers/provider-clients.ts';

/**
 * `authorization.registration.check`: only who reaches providers can read what their metadata says. It is asked before a
 * registration is made, so that nobody learns at the callback what could have been known here.
 */
@Injectable()
export class CheckRegistration {
  readonly #providers: ProviderClients;

  constructor(providers: ProviderClients) {
    this.#providers = providers;
  }

  @Serves(operations.checkRegistration)
  async check({
    provider: providerId,
    parameters,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
    tls_client_certificate_bound_access_tokens: tlsClientCertificateBoundAccessTokens,
    require_signed_request_object: requireSignedRequestObject,
  }: RequestOf<typeof operations.checkRegistration>): Promise<ReplyOf<typeof operations.checkRegistration>> {
    await this.#providers
      .toBe({
        ...{ providerId, parameters, dpopBoundAccessTokens, requireSignedRequestObject },
        tlsClientCertificateBoundAccessTokens,
      })
      .requireFeatures();
    return {};
  }
}
