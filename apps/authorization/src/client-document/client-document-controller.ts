import { Controller, Get, Param, Res } from '@nestjs/common';
import { isId, PosternError } from '@postern/contracts';
import type { FastifyReply } from 'fastify';

import { authorizationLimits } from '../authorization-limits.ts';
import { Directory } from '../directory/directory.ts';
import { ClientDocuments } from './client-documents.ts';

/** Where authorization servers read who our client is. */
@Controller('oauth/clients')
export class ClientDocumentController {
  readonly #directory: Directory;
  readonly #documents: ClientDocuments;

  constructor(directory: Directory, documents: ClientDocuments) {
    this.#directory = directory;
    this.#documents = documents;
  }

  /** Only of clients whose id is this very URL: nothing is told of those that a provider knows by another name. */
  @Get(':registration')
  async show(@Param('registration') registrationId: string, @Res() reply: FastifyReply): Promise<void> {
    const found = isId('registration', registrationId)
      ? await this.#directory.publicRegistration(registrationId)
      : undefined;
    if (found === undefined || found.registration.clientId !== this.#documents.urlOf(found.registration)) {
      throw new PosternError('request.not_found', 'There is no such client.');
    }
    void reply
      .header('content-type', 'application/json')
      .header('cache-control', `public, max-age=${authorizationLimits.clientDocumentMaxAgeS}`)
      .send(this.#documents.of(found.registration, found.tenantName));
  }
}
