import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import { PosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { Logger } from './logger.ts';
import { NestLogger } from './nest-logger.ts';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { startTelemetry, withArrival } from './telemetry.ts';

const hunter = Secret.from('hunter2');
const hunterBytes = Secret.from(Buffer.from('hunter2'));

function recorder() {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = new Logger({ level: 'debug', base: { app: 'vault' }, destination });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> };
}

class HttpLikeError extends Error {
  readonly config = { headers: { authorization: 'Bearer hunter2' } };
  readonly response = { body: { access_token: 'hunter2' } };
}

describe('a log line', () => {
  test.each([
    ['a field', { token: hunter }],
    ['a field of bytes', { token: hunterBytes }],
    ['a nested object', { a: { b: [{ c: hunter }] } }],
    ['a map and a set', { map: new Map([['k', hunter]]), set: new Set([hunter]) }],
    ['the key of a map', { map: new Map([[hunter, 1]]) }],
    ['an error built on it', { err: new Error(`token ${String(hunter)}`) }],
    ['a property of an error', { err: Object.assign(new Error('failed'), { token: hunter, raw: 'hunter2' }) }],
    ['a request that a library hung on its error', { err: new HttpLikeError('401') }],
    ['the cause of an error', { err: new Error('outer', { cause: new HttpLikeError('inner') }) }],
    ['a cause that is no error', { err: new Error('outer', { cause: { token: 'hunter2' } }) }],
    ['an error under another name', { reason: new HttpLikeError('401') }],
    ['an error in a list', { errors: [new HttpLikeError('401')] }],
    ['raw bytes', { plaintext: Buffer.from('hunter2'), view: new Uint8Array(Buffer.from('hunter2')) }],
    ['a function', { reveal: () => 'hunter2' }],
    ['beyond the depth', { a: { b: { c: { d: { e: { f: { g: { h: 'hunter2' } } } } } } } }],
  ])('never prints a secret: %s', (_where, fields) => {
    const { logger, lines } = recorder();
    logger.error('something happened', fields);
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('hunter2');
    expect(lines[0]).not.toMatch(/\b104,("1":)?117\b/);
  });

  test('tells an error by class, code, message and stack, and its causes likewise', () => {
    const { logger, last } = recorder();
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    logger.error('failed', { err: new PosternError('bus.unavailable', 'The bus is away.', { cause }) });
    expect(last()['err']).toMatchObject({
      type: 'PosternError',
      code: 'bus.unavailable',
      message: 'The bus is away.',
      cause: { type: 'Error', code: 'ECONNREFUSED', message: 'refused' },
    });
  });

  test('takes a percent sign in its sentence for a percent sign', () => {
    const { logger, last } = recorder();
    logger.info('100% of %s', { n: 1n });
    expect(last()).toMatchObject({ msg: '100% of %s', n: '1', level: 'info', app: 'vault' });
  });

  test('ends at its level', () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const logger = new Logger({ level: 'error', base: {}, destination });
    logger.info('quiet');
    logger.error('loud');
    expect(lines).toHaveLength(1);
  });

  test('carries the ids of what is being worked on, also when no span is exported', async () => {
    const keeper = new InMemorySpanExporter();
    await startTelemetry({ OTEL_TRACES_SAMPLER: 'always_on' }, { spanProcessors: [new SimpleSpanProcessor(keeper)] });
    const { logger, last } = recorder();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const arrival = { name: 'test', headers: { Traceparent: traceparent }, correlationId: 'cor_12345678' } as const;
    await withArrival({ ...arrival, kind: 'message' }, async () => logger.info('inside'));
    expect(last()).toMatchObject({
      correlation_id: 'cor_12345678',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
    });
    await withArrival({ name: 'test', headers: {}, kind: 'message' }, async () => logger.info('inside'));
    expect(last()['trace_id']).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    context.with(ROOT_CONTEXT, () => logger.info('outside'));
    expect(last()).not.toHaveProperty('trace_id');
  });

  test('is made of what Nest says, too', () => {
    const { logger, last } = recorder();
    const nest = new NestLogger(logger);
    nest.error(new HttpLikeError('it broke'), 'RoutesResolver');
    expect(last()).toMatchObject({ level: 'error', msg: 'it broke', nest: 'RoutesResolver' });
    nest.warn({ token: hunter }, 'X');
    expect(JSON.stringify(last())).not.toContain('hunter2');
  });
});
