import { Injectable } from '@nestjs/common';
import { secretsInUse, type Registration } from '@postern/domain';
import type { ClientDocument } from '@postern/provider-client';
import { Clock, ServiceConfig } from '@postern/service';

import { callbackPath } from '../browser/browser-state.ts';

type Described = Pick<Registration, 'registrationId' | 'tokenEndpointAuthMethod' | 'secrets'>;

/** What an authorization server may know of a client of ours; its URL is the client's id. */
@Injectable()
export class ClientDocuments {
  readonly #publicUrl: string;
  readonly #clock: Clock;

  constructor(service: ServiceConfig, clock: Clock) {
    this.#publicUrl = service.publicUrl;
    this.#clock = clock;
  }

  /** @source draft-ietf-oauth-client-id-metadata-document-00 §3 */
  urlOf({ registrationId }: Pick<Registration, 'registrationId'>): string {
    return `${this.#publicUrl}/oauth/clients/${registrationId}`;
  }

  /**
   * Public keys are the only ones that may stand in a document; a client without one is public.
   *
   * @source draft-ietf-oauth-client-id-metadata-document-00 §4, RFC 7591 §2
   */
  of(registration: Described, clientName: string): ClientDocument {
    const keys = secretsInUse(registration, { kind: 'private_key', nowMs: this.#clock.nowMs() });
    const jwks = { keys: keys.flatMap(({ publicJwk }) => (publicJwk === null ? [] : [publicJwk])) };
    const signs = registration.tokenEndpointAuthMethod === 'private_key_jwt';
    return {
      client_id: this.urlOf(registration),
      client_name: clientName,
      redirect_uris: [`${this.#publicUrl}${callbackPath(registration.registrationId)}`],
      // Who signs can also have tokens of its own. A public client cannot, and a server may refuse one that says so.
      grant_types: ['authorization_code', 'refresh_token', ...(signs ? ['client_credentials'] : [])],
      response_types: ['code'],
      token_endpoint_auth_method: registration.tokenEndpointAuthMethod,
      ...(signs && { jwks }),
    };
  }
}
