import { PosternError } from '@postern/contracts';

/**
 * A request for the bus from the body and what the path names. A body may not name it again: then it would be unclear
 * which is meant.
 *
 * @throws {PosternError} `request.malformed`
 */
export function bodyWith(body: unknown, fromPath: Readonly<Record<string, string>>): unknown {
  if (body === undefined || body === null) return fromPath;
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw new PosternError('request.malformed', 'The body must be a JSON object.');
  }
  const twice = Object.keys(fromPath).find((name) => Object.hasOwn(body, name));
  if (twice !== undefined)
    throw new PosternError('request.malformed', `${twice} stands in the path; leave it out of the body.`);
  return { ...body, ...fromPath };
}
