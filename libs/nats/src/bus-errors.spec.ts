import { errors } from '@nats-io/nats-core';

import { busError } from './bus-errors.ts';

test('a user whom the server refuses is forbidden: waiting mends nothing', () => {
  const error = busError(new errors.AuthorizationError('Authorization Violation'));
  expect([error.code, error.row.retry]).toEqual(['auth.forbidden', 'never']);
});

test('a server that did not hear in time who it is that connects has refused nobody: it is tried again', () => {
  const error = busError(new errors.AuthorizationError('Authentication Timeout'));
  expect([error.code, error.row.retry]).toEqual(['bus.timeout', 'later']);
});
