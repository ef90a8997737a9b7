import { Injectable } from '@nestjs/common';
import { operations, timestampOf, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe, type Secret } from '@postern/crypto';
import type { NewClient } from '@postern/provider-client';
import { Serves, Trust } from '@postern/service';

import { ClientDocuments } from '../client-document/client-documents.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';

type Request = RequestOf<typeof operations.meetResource>;
type Reply = ReplyOf<typeof operations.meetResource>;

/** `authorization.resource.meet`: what an administrator needs to know of an MCP server before it can be connected to. */
@Injectable()
export class MeetResource {
  readonly #documents: ClientDocuments;
  readonly #directory: Directory;
  readonly #providers: ProviderClients;
  readonly #trust: Trust;

  constructor(documents: ClientDocuments, directory: Directory, providers: ProviderClients, trust: Trust) {
    this.#providers = providers;
    this.#documents = documents;
    this.#directory = directory;
    this.#trust = trust;
  }

  /** A secret that is issued on the way goes sealed to the vault by way of whoever asked, who cannot open it. */
  @Serves(operations.meetResource)
  async meet(request: Request): Promise<Reply> {
    const { registration_id: registrationId, token_endpoint_auth_method: tokenEndpointAuthMethod } = request;
    const tenantName = await this.#directory.tenantName(request.tenant_id);
    const document = this.#documents.of({ registrationId, tokenEndpointAuthMethod, secrets: [] }, tenantName);
    const met = await this.#providers.meet({
      url: request.resource,
      issuer: request.issuer,
      document,
      hasClient: request.has_client,
    });
    const { resource, issuer, scopes, client } = met;
    return { resource, issuer, scope: [...scopes], client: this.#told(client, request, document.client_id) };
  }

  #told(client: NewClient, { registration_id: reg, ...request }: Request, documentUrl: string): Reply['client'] {
    if (client.kind === 'by_hand') return null;
    const { token_endpoint_auth_method } = request;
    if (client.kind === 'metadata_document') {
      return { client_id: documentUrl, token_endpoint_auth_method, sealed_secret: null, secret_expires_at: null };
    }
    const { clientId, clientSecret, secretExpiresAtMs, tokenEndpointAuthMethod } = client;
    return {
      client_id: clientId,
      token_endpoint_auth_method: tokenEndpointAuthMethod,
      sealed_secret: clientSecret === null ? null : this.#sealed(clientSecret, reg),
      secret_expires_at: secretExpiresAtMs === null ? null : timestampOf(secretExpiresAtMs),
    };
  }

  #sealed(secret: Secret, reg: string): string {
    const plaintext = Buffer.from(secret.reveal(), 'utf8');
    return sealJwe({ recipient: this.#trust.recipient('vault'), plaintext, protectedHeader: { reg } });
  }
}
