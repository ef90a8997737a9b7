import { z } from 'zod';

import {
  errorOfProblem,
  errorTable,
  parseRequest,
  PosternError,
  problemOf,
  toPosternError,
  type ErrorCode,
} from './index.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

test.each(codes)('%s crosses a boundary and comes back as the same code', (code) => {
  const back = errorOfProblem(JSON.parse(JSON.stringify(problemOf(new PosternError(code, 'It is so.')))));
  expect(back.code).toBe(code);
});

test('details cross a boundary', () => {
  const error = new PosternError('connection.reauthorization_required', 'No.', {
    details: { reauthorize_url: 'https://a.example/b' },
  });
  expect(errorOfProblem(problemOf(error)).details.reauthorize_url).toBe('https://a.example/b');
  expect(problemOf(error)).toMatchObject({ status: 409, reauthorize_url: 'https://a.example/b' });
});

test('the message of a hidden error stays inside', () => {
  const problem = problemOf(new PosternError('vault.ciphertext_invalid', 'row 17 of tenant ten_x'));
  expect(JSON.stringify(problem)).not.toContain('row 17');
});

test('a cause never leaves the process', () => {
  const problem = problemOf(toPosternError(new Error('password=hunter2')));
  expect(problem.code).toBe('service.internal');
  expect(JSON.stringify(problem)).not.toContain('hunter2');
});

test('an unknown code of the future is an internal error, not a crash', () => {
  expect(errorOfProblem({ type: 'x', title: 't', status: 400, detail: 'd', code: 'area.future' }).code).toBe(
    'service.internal',
  );
  expect(errorOfProblem('no problem at all').code).toBe('service.internal');
});

test('a malformed request names its fields', () => {
  try {
    parseRequest(z.strictObject({ count: z.number() }), { count: 'x', other: 1 });
    throw new Error('was accepted');
  } catch (error) {
    expect(error).toMatchObject({
      code: 'request.malformed',
      details: { fields: [{ path: 'count' }, { path: '(body)' }] },
    });
  }
});

test('codes that ask to retry give the message back to the queue, and the others do not', () => {
  for (const code of codes) {
    const { retry, delivery } = errorTable[code];
    if (retry === 'later') expect([code, delivery]).toEqual([code, 'nak']);
  }
});
