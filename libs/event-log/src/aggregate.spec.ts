import { aggregateKinds } from '@postern/contracts';
import * as fc from 'fast-check';

import { aggregateOf, subjectOf } from './aggregate.ts';

const token = fc.oneof(
  fc.constantFrom('connection', 'admin', 'access', '1', '12', '1x', '', ...aggregateKinds),
  fc.stringMatching(/^[a-z0-9_]{0,6}$/),
);

test('a subject names an aggregate in four tokens, or none', () => {
  fc.assert(
    fc.property(fc.array(token, { maxLength: 6 }), (tokens) => {
      const [stream = '', second = '', third = '', id = ''] = tokens;
      const isWhole = tokens.length === 4 && id !== '';
      const ofConnections = isWhole && stream === 'connection' && /^\d+$/.test(second);
      const kind = aggregateKinds.find((one) => one === third && one !== 'connection');
      const ofAdmin = isWhole && stream === 'admin' && kind !== undefined;
      const expected = ofConnections
        ? { tenantId: third, kind: 'connection', id }
        : ofAdmin
          ? { tenantId: second, kind, id }
          : undefined;
      expect(aggregateOf(tokens.join('.'))).toEqual(expected);
    }),
    { numRuns: 2_000, examples: [[['connection', '1', 'ten', '']], [['admin', 'ten', 'connection', 'con']]] },
  );
});

test.each(aggregateKinds)('the subject of a %s is read as what it was made of', (kind) => {
  const aggregate = { tenantId: 'ten_01jd0000000000000000000001', kind, id: 'con_01jd0000000000000000000001' } as const;
  const made = kind === 'connection' ? aggregate : { ...aggregate, id: 'agt_01jd0000000000000000000001' };
  expect(aggregateOf(subjectOf(made))).toEqual(made);
});
