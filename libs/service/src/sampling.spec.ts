import { ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api';
import { ratioOf, Sampling } from './sampling.ts';

const caller = (traceFlags: TraceFlags) =>
  trace.setSpanContext(ROOT_CONTEXT, {
    ...{ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' },
    ...{ traceFlags, isRemote: true },
  });

test.each([
  [{}, 0.01],
  [{ OTEL_TRACES_SAMPLER: 'always_on' }, 1],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, 0],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' }, 0.25],
  [{ OTEL_TRACES_SAMPLER: 'traceidratio' }, 1],
])('%j keeps %d of the traces', (env, ratio) => {
  expect(ratioOf(env)).toBe(ratio);
});

test.each([
  { OTEL_TRACES_SAMPLER: 'jaeger_remote' },
  { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '1.5' },
  { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: 'some' },
])('%j is refused', (env) => {
  expect(() => ratioOf(env)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
});

test('a root is kept by the ratio, a caller who keeps is followed, one who does not is not', () => {
  const drawn = [0.005, 0.5];
  const sampling = new Sampling(0.01, { random: () => drawn.shift() ?? 1 });
  expect(sampling.keeps(ROOT_CONTEXT)).toBe(true);
  expect(sampling.keeps(ROOT_CONTEXT)).toBe(false);
  expect(sampling.keeps(caller(TraceFlags.SAMPLED))).toBe(true);
  expect(sampling.keeps(caller(TraceFlags.NONE))).toBe(false);
  expect(new Sampling(1).keeps(caller(TraceFlags.NONE))).toBe(false);
});

test('callers who wish for every trace do not decide what a request costs', () => {
  let nowMs = 0;
  const sampling = new Sampling(0.01, { nowMs: () => nowMs });
  const kept = () => Array.from({ length: 500 }, () => sampling.keeps(caller(TraceFlags.SAMPLED))).filter(Boolean);
  expect(kept()).toHaveLength(100);
  nowMs = 1_000;
  expect(kept()).toHaveLength(100);
});
