import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Body, Controller, Get, Header, HttpCode, Module, Param, Post, Query } from '@nestjs/common';
import { limits, PosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { createOperator, serverOperatorConfig } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import {
  correlationId,
  Logger,
  OAuthEndpoint,
  ReadinessRegistry,
  ServiceConfig,
  startService,
  type RunningService,
} from './index.ts';
import { LogRecorder, specWorld } from './spec-world.ts';

/** Identities are made in JavaScript, which takes seconds on a busy machine. */
const setUpTimeoutMs = 180_000;

@Controller()
class ProbeController {
  constructor(private readonly logger: Logger) {}

  @Get('echo/:id')
  echo(@Param('id') id: string, @Query('q') q: string): object {
    return { id, q, correlation: correlationId() };
  }

  @Post('json')
  json(@Body() body: unknown): object {
    this.logger.info('in the handler');
    return { body, correlation: correlationId() };
  }

  @Get('page')
  @Header('content-security-policy', "default-src 'self'")
  page(): string {
    return 'page';
  }

  @Get('refuse')
  refuse(): never {
    throw new PosternError('connection.reauthorization_required', 'It is over.', {
      details: { reauthorize_url: 'https://postern.example/connect/x' },
    });
  }

  @Get('crash')
  crash(): never {
    const cause = Object.assign(new Error('connect to db'), {
      url: 'postgres://hunter2',
      token: Secret.from('hunter2'),
    });
    throw new TypeError('undefined is not the inner secret detail', { cause });
  }

  @Post('oauth/token')
  @HttpCode(200)
  @OAuthEndpoint()
  token(@Body() form: Record<string, unknown>): object {
    if (form['grant_type'] !== 'client_credentials')
      throw new PosternError('auth.grant_type_unsupported', 'No "other".');
    if (form['client_secret'] !== 's') throw new PosternError('auth.client_invalid', 'No.');
    return { access_token: 'x' };
  }
}

@Module({ controllers: [ProbeController] })
class ProbeModule {}

await describeWithServer('nats-server', 'a service over HTTP', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-http-'));
  const log = new LogRecorder();
  let server: NatsServer;
  let service: RunningService;
  const url = (path: string) => `${service.httpUrl}${path}`;
  const problem = async (path: string, init?: RequestInit) => {
    const answer = await fetch(url(path), init);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    return { answer, body: (await answer.json()) as Record<string, unknown> };
  };

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    const world = await specWorld({ natsUrl: server.url, bundle, folder, apps: ['gateway'] });
    const definition = { app: 'gateway', module: ProbeModule, config: ServiceConfig } as const;
    service = await startService(definition, world.envOf('gateway'), { logDestination: log });
  }, setUpTimeoutMs);

  afterAll(async () => {
    await service?.stop();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('answers with headers that keep it out of caches and frames', async () => {
    const answer = await fetch(url('/echo/1?q=2'));
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
    expect((await fetch(url('/page'))).headers.get('content-security-policy')).toBe("default-src 'self'");
  });

  test('takes over a correlation id that is harmless, and makes one otherwise', async () => {
    const given = await fetch(url('/echo/1'), { headers: { 'postern-correlation-id': 'cor_abc' } });
    expect(await given.json()).toMatchObject({ correlation: 'cor_abc' });
    expect(given.headers.get('postern-correlation-id')).toBe('cor_abc');
    const odd = await fetch(url('/echo/1'), { headers: { 'postern-correlation-id': 'a b"c' } });
    expect(odd.headers.get('postern-correlation-id')).toMatch(/^cor_/);
  });

  test('keeps the context over the reading of a body, however late it comes', async () => {
    const socket = connect(service.httpPort, '127.0.0.1');
    const body = JSON.stringify({ a: 'x'.repeat(50_000) });
    const head = ['POST /json HTTP/1.1', 'Host: x', 'Connection: close', 'Content-Type: application/json'];
    const more = [`Content-Length: ${body.length}`, 'Expect: 100-continue', 'Postern-Correlation-Id: cor_body'];
    socket.write(`${[...head, ...more].join('\r\n')}\r\n\r\n`);
    let answer = '';
    for await (const chunk of socket) {
      if (answer === '') socket.write(body);
      answer += String(chunk);
    }
    expect(answer).toContain('100 Continue');
    expect(answer).toContain('"correlation":"cor_body"');
    expect(log.saying('in the handler').at(-1)).toMatchObject({ correlation_id: 'cor_body' });
  });

  test('answers a refusal as a problem document with its details', async () => {
    const { answer, body } = await problem('/refuse');
    expect(answer.status).toBe(409);
    expect(body).toMatchObject({
      type: 'urn:postern:error:connection.reauthorization_required',
      code: 'connection.reauthorization_required',
      reauthorize_url: 'https://postern.example/connect/x',
      correlation_id: answer.headers.get('postern-correlation-id'),
    });
  });

  test('answers a crash with nothing inner, and logs it under its correlation id without a secret', async () => {
    const { answer, body } = await problem('/crash?code=hunter2');
    expect(answer.status).toBe(500);
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(body).toMatchObject({ code: 'service.internal' });
    expect(JSON.stringify(body)).not.toContain('inner');
    expect(log.saying('GET /crash failed')).toMatchObject([
      {
        level: 'error',
        correlation_id: body['correlation_id'],
        err: { type: 'TypeError', cause: { message: 'connect to db' } },
      },
    ]);
    expect(log.lines.join('')).not.toContain('hunter2');
  });

  test.each([
    ['an unknown path', '/nothing?code=hunter2', {}, 404, 'request.not_found'],
    ['another method', '/json', { method: 'GET' }, 404, 'request.not_found'],
    ['a path that is no URL', '/echo/%zz', {}, 400, 'request.malformed'],
    ['a parameter over its length', `/echo/${'x'.repeat(600)}`, {}, 400, 'request.malformed'],
    ['broken JSON', '/json', post('{"a":', 'application/json'), 400, 'request.malformed'],
    ['a prototype in JSON', '/json', post('{"__proto__":{"x":1}}', 'application/json'), 400, 'request.malformed'],
    ['an unknown content type', '/json', post('<a/>', 'application/xml'), 415, 'request.unsupported_media_type'],
    [
      'a body over the limit',
      '/json',
      post(JSON.stringify('x'.repeat(limits.requestBytesMax)), 'application/json'),
      413,
      'request.too_large',
    ],
  ])('answers %s by code', async (_what, path, init, status, code) => {
    const { answer, body } = await problem(path, init);
    expect(answer.status).toBe(status);
    expect(body).toMatchObject({ code, status });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(JSON.stringify(body)).not.toContain('hunter2');
  });

  test('does not fall over what is no HTTP at all', async () => {
    const socket = connect(service.httpPort, '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.end('NOT HTTP\r\n\r\n');
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toContain('400');
    expect((await fetch(url('/healthz'))).status).toBe(200);
  });

  test('takes a form at the token endpoint', async () => {
    const form = new URLSearchParams({ grant_type: 'client_credentials', client_secret: 's' });
    const answer = await fetch(url('/oauth/token'), { method: 'POST', body: form });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ access_token: 'x' });
  });

  test.each([
    ['a refusal', post('grant_type=password', 'application/x-www-form-urlencoded'), 400, 'unsupported_grant_type'],
    [
      'wrong credentials',
      post('grant_type=client_credentials', 'application/x-www-form-urlencoded'),
      401,
      'invalid_client',
    ],
    ['what never reached it', post('<a/>', 'application/xml'), 415, 'invalid_request'],
  ])('answers %s at an OAuth endpoint as OAuth does', async (_what, init, status, word) => {
    const answer = await fetch(url('/oauth/token'), init);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.has('www-authenticate')).toBe(status === 401);
    const body = (await answer.json()) as Record<string, string>;
    expect(Object.keys(body).sort()).toEqual(['error', 'error_description']);
    expect(body['error']).toBe(word);
    expect(body['error_description']).not.toContain('"');
  });

  test('is alive while it is not ready, and names what it waits for', async () => {
    const readiness = service.get(ReadinessRegistry);
    expect(await (await fetch(url('/readyz'))).json()).toEqual({
      ready: true,
      checks: { service: 'ok', bus: 'ok', streams: 'ok' },
    });
    let answer: true | string = 'the feed is stale';
    readiness.add('feed', () => answer);
    const refused = await fetch(url('/readyz'));
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ ready: false, checks: { feed: 'the feed is stale' } });
    expect((await fetch(url('/healthz'))).status).toBe(200);
    answer = true;
    expect((await fetch(url('/readyz'))).status).toBe(200);
  });

  test('tells its numbers by route, never by URL', async () => {
    await fetch(url('/echo/very-private?q=hunter2'));
    const answer = await fetch(url('/metrics'));
    const text = await answer.text();
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(text).toContain(
      'http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/echo/:id"}',
    );
    expect(text).not.toContain('very-private');
  });
});

function post(body: string, type: string): RequestInit {
  return { method: 'POST', headers: { 'content-type': type }, body };
}
