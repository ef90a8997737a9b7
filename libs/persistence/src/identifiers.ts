import { PosternError } from '@postern/contracts';

/**
 * Names go into SQL as they are, so only names are taken.
 *
 * @throws {PosternError} `config.invalid`
 * @internal
 */
export function identifier(name: string): string {
  if (/^[a-z][a-z0-9_]{0,62}$/.test(name)) return name;
  throw new PosternError('config.invalid', 'A schema, table or role name must be lower case letters, digits and _.');
}
