import { Body, Controller, Headers, HttpCode, Post } from '@nestjs/common';
import { limits, parseRequest, PosternError, TokenRequest, type TokenReply } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { OAuthEndpoint } from '@postern/service';
import type { z } from 'zod';

import { ClientCredentials } from './client-credentials.ts';
import { PlatformToken } from './platform-token.ts';

const clientIdCharsMax = 64;
const clientSecretCharsMax = 256;

/** `POST /oauth/token`. @source RFC 6749 §4.4, §2.3.1 */
@Controller()
export class TokenController {
  constructor(
    private readonly credentials: ClientCredentials,
    private readonly tokens: PlatformToken,
  ) {}

  @Post('oauth/token')
  @HttpCode(200)
  @OAuthEndpoint()
  async token(
    @Body() body: unknown,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<z.infer<typeof TokenReply>> {
    const request = parseRequest(TokenRequest, body ?? {});
    const { clientId, clientSecret } = clientOf(request, authorization);
    if (request.grant_type !== 'client_credentials') {
      throw new PosternError('auth.grant_type_unsupported', 'Only client_credentials is offered.');
    }
    const caller = await this.credentials.check(clientId, clientSecret);
    return {
      access_token: await this.tokens.issue(caller),
      token_type: 'Bearer',
      expires_in: limits.platformTokenTtlS,
    };
  }
}

interface Client {
  readonly clientId: string;
  readonly clientSecret: Secret;
}

/** A client authenticates in one way only. @source RFC 6749 §2.3 */
function clientOf(
  { client_id: id, client_secret: secret }: z.infer<typeof TokenRequest>,
  authorization: string | undefined,
): Client {
  if (authorization === undefined) {
    if (id === undefined || secret === undefined)
      throw new PosternError('auth.client_invalid', 'No client credentials were sent.');
    return { clientId: id, clientSecret: Secret.from(secret) };
  }
  if (secret !== undefined) throw new PosternError('request.malformed', 'The client authenticates twice.');
  const basic = basicOf(authorization);
  if (id !== undefined && id !== basic.clientId)
    throw new PosternError('request.malformed', 'Two client ids were sent.');
  return basic;
}

function basicOf(authorization: string): Client {
  const encoded = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(authorization)?.[1] ?? '';
  const [, id = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? [];
  const clientId = formDecoded(id);
  const clientSecret = formDecoded(secret);
  if (!clientId || !clientSecret || clientId.length > clientIdCharsMax || clientSecret.length > clientSecretCharsMax) {
    throw new PosternError('auth.client_invalid', 'The Authorization header holds no client credentials.');
  }
  return { clientId, clientSecret: Secret.from(clientSecret) };
}

/** Both parts are form-encoded before they are joined. @source RFC 6749 §2.3.1 */
function formDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
