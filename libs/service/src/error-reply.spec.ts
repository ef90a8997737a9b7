import { BadRequestException, ImATeapotException, NotFoundException } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import { codedError, oauthReply, problemReply } from './error-reply.ts';

describe('an error over HTTP', () => {
  test('is a problem document with its code and correlation id', () => {
    const { status, headers, body } = problemReply(new PosternError('connection.revoked', 'It is over.'), 'cor_1');
    expect(status).toBe(409);
    expect(headers).toEqual({ 'content-type': 'application/problem+json' });
    expect(body).toMatchObject({
      type: 'urn:postern:error:connection.revoked',
      code: 'connection.revoked',
      correlation_id: 'cor_1',
    });
  });

  test('tells when to come back, by its own word or by default', () => {
    const known = new PosternError('refresh.unavailable', 'Not now.', { details: { retry_after_s: 6.2 } });
    expect(problemReply(known, 'c').headers['retry-after']).toBe('7');
    expect(problemReply(new PosternError('log.unavailable', 'Not now.'), 'c').headers['retry-after']).toBe('2');
    expect(problemReply(new PosternError('auth.forbidden', 'No.'), 'c').headers).not.toHaveProperty('retry-after');
  });

  test.each([
    ['auth.token_missing', 'Bearer realm="postern"'],
    ['auth.token_invalid', 'Bearer realm="postern", error="invalid_token"'],
    ['auth.client_invalid', 'Basic realm="postern", charset="UTF-8"'],
  ] as const)('%s challenges with %s', (code, challenge) => {
    expect(problemReply(new PosternError(code, 'No.'), 'c').headers['www-authenticate']).toBe(challenge);
  });

  test('keeps what a hidden error says to itself', () => {
    const { body } = problemReply(new PosternError('vault.ciphertext_invalid', 'row 17 of tenant x'), 'c');
    expect(JSON.stringify(body)).not.toContain('row 17');
    expect(JSON.stringify(oauthReply(new PosternError('vault.ciphertext_invalid', 'row 17')).body)).not.toContain(
      'row 17',
    );
  });

  test.each([
    ['auth.client_invalid', 401, 'invalid_client'],
    ['auth.grant_type_unsupported', 400, 'unsupported_grant_type'],
    ['request.malformed', 400, 'invalid_request'],
    ['request.unsupported_media_type', 415, 'invalid_request'],
    ['log.unavailable', 503, 'temporarily_unavailable'],
    ['service.internal', 500, 'server_error'],
  ] as const)('%s is %i %s to an OAuth client', (code, status, word) => {
    const reply = oauthReply(new PosternError(code, 'A "sentence"\u2028 with odd characters.'));
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject({ error: word });
    expect((reply.body as { error_description: string }).error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(reply.headers['cache-control']).toBe('no-store');
  });

  test.each([
    [new NotFoundException('Cannot GET /secret?code=1'), 'request.not_found'],
    [new BadRequestException('x'), 'request.malformed'],
    [new ImATeapotException(), 'service.internal'],
    [Object.assign(new Error('x'), { statusCode: 413 }), 'request.too_large'],
    [Object.assign(new Error('x'), { statusCode: 500 }), 'service.internal'],
    [new TypeError('undefined is not a function'), 'service.internal'],
    ['a string', 'service.internal'],
    [undefined, 'service.internal'],
  ])('%p is coded', (thrown, code) => {
    const error = codedError(thrown);
    expect(error.code).toBe(code);
    expect(error.message).not.toContain('code=1');
  });
});
