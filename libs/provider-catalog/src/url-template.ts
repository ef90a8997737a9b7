import { z } from 'zod';

/** `{name}` in a URL template stands for a parameter of the registration. */
export const UrlTemplate = z
  .string()
  .max(2048)
  .regex(/^https:\/\/[^\s"'<>\\^`|#]+$/, 'must be an https URL without fragment');

/**
 * What a client registration must bring for a provider that is not the same for everybody.
 *
 * `issuer` is a whole issuer identifier; `host_label` is one DNS label put into a template's host; `path_segment` is one
 * segment of its path, such as a tenant; `resource` is the whole URL of what the tokens are for, which a tenant chose.
 */
export const Parameter = z.strictObject({
  kind: z.enum(['issuer', 'host_label', 'path_segment', 'resource']),
  description: z.string().min(1).max(200),
});
export type Parameter = z.infer<typeof Parameter>;

/** The names that stand in braces in a template. */
export function namesIn(template: string): string[] {
  return [...template.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name ?? '');
}

/**
 * May these parameters choose no more of the URL than they should: a label of the host before at least two fixed ones, a
 * whole segment of the path; never the scheme, the port, the domain or the query?
 */
export function keepsItsHost(template: string, parameters: Readonly<Record<string, Parameter>>): boolean {
  if (template === '{issuer}' || !template.includes('{')) return true;
  const match =
    /^https:\/\/(?:\{([a-z0-9_]+)\}(?:\.[a-z0-9-]+){2,}|[a-z0-9-]+(?:\.[a-z0-9-]+)+)(\/[^?]*)?(\?[^{}]*)?$/.exec(
      template,
    );
  if (match === null) return false;
  const [, label, path = ''] = match;
  const segments = path.split('/').filter((segment) => /[{}]/.test(segment));
  return (
    (label === undefined || parameters[label]?.kind === 'host_label') &&
    segments.every(
      (segment) => /^\{[a-z0-9_]+\}$/.test(segment) && parameters[segment.slice(1, -1)]?.kind === 'path_segment',
    )
  );
}
