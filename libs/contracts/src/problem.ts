import { z } from 'zod';

import { errorTable, isErrorCode, PosternError, type ErrorDetails } from './errors.ts';
import { parseJson } from './parse-json.ts';

/**
 * An error as it crosses a boundary: the HTTP body, and the body of a NATS service's error reply.
 *
 * @source RFC 9457 §3
 */
export const Problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
  correlation_id: z.string().optional(),
});
export type Problem = z.infer<typeof Problem>;

/** The problem document of an error. A hidden message is replaced by its title, so that nothing inner leaves. */
export function problemOf(error: PosternError, correlationId?: string): Problem {
  const { status, title, advice, exposed } = error.row;
  const detail = exposed ? `${error.message} ${advice}` : title;
  const id = correlationId === undefined ? {} : { correlation_id: correlationId };
  return {
    type: `urn:postern:error:${error.code}`,
    title,
    status,
    detail,
    code: error.code,
    ...id,
    ...error.details,
  };
}

/** The error a problem document stands for; a code of the future becomes `service.internal`. */
export function errorOfProblem(body: unknown): PosternError {
  const parsed = Problem.safeParse(body);
  if (!parsed.success) return new PosternError('service.internal', 'The error reply could not be read');
  const { type: _type, title: _title, status: _status, detail, code, correlation_id: _id, ...details } = parsed.data;
  if (!isErrorCode(code)) return new PosternError('service.internal', `Unknown error code ${code}`);
  const message = detail.endsWith(errorTable[code].advice)
    ? detail.slice(0, -errorTable[code].advice.length).trim()
    : detail;
  return new PosternError(code, message, { details: details as ErrorDetails });
}

/** Reads a value by its schema; what does not fit becomes `request.malformed` with the fields named. */
export function parseRequest<T>(schema: z.ZodType<T>, value: unknown): T {
  const read = parseJson(schema, value);
  if (read !== undefined) return read;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues
    .slice(0, 10)
    .map(({ path, message }) => ({ path: path.join('.') || '(body)', reason: message }));
  const named = fields.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
  throw new PosternError('request.malformed', `These fields do not fit: ${named}.`, {
    details: { fields },
  });
}
