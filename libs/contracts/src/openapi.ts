import { z } from 'zod';

import { errorTable } from './errors.ts';
import { httpRoutes, type HttpRoute } from './http-api.ts';
import { Problem } from './problem.ts';

type Json = Record<string, unknown>;

/** A zod schema as JSON Schema 2020-12; what a caller sends (`input`) or gets (`output`). */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  return rest;
}

function parametersOf({ path, query }: HttpRoute): Json[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const properties = query === undefined ? {} : ((jsonSchemaOf(query, 'input')['properties'] ?? {}) as Json);
  return [...inPath, ...Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }))];
}

function securityOf({ auth }: HttpRoute): Json[] {
  if (auth === 'platform') return [{ platformToken: [] }];
  return auth === 'client' ? [{ clientBasic: [] }, {}] : [];
}

function answersOf(route: HttpRoute): Json {
  const content =
    route.reply === undefined
      ? {}
      : { content: { 'application/json': { schema: jsonSchemaOf(route.reply, 'output') } } };
  const problem = { $ref: '#/components/responses/Problem' };
  return { [String(route.status)]: { description: route.summary, ...content }, default: problem };
}

function operationOf(key: string, route: HttpRoute): Json {
  const mediaType = route.form === true ? 'application/x-www-form-urlencoded' : 'application/json';
  const body =
    route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { [mediaType]: { schema: jsonSchemaOf(route.body, 'input') } } } };
  return {
    operationId: key,
    summary: route.summary,
    tags: [route.app],
    security: securityOf(route),
    parameters: parametersOf(route),
    ...body,
    responses: answersOf(route),
  };
}

/**
 * The OpenAPI 3.1 document of the HTTP surface, made from the same schemas that check each request.
 *
 * @source OpenAPI 3.1, RFC 9457 for errors
 */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [key, route] of Object.entries<HttpRoute>(httpRoutes)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(key, route) };
  }
  const problemSchema = jsonSchemaOf(Problem.extend({ code: z.enum(Object.keys(errorTable)) }), 'output');
  return {
    openapi: '3.1.0',
    info: { title: 'Postern', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: {
      securitySchemes: {
        platformToken: { type: 'http', scheme: 'bearer' },
        clientBasic: { type: 'http', scheme: 'basic' },
      },
      responses: {
        Problem: {
          description: 'A problem document (RFC 9457); docs/reference/errors.md lists every code.',
          content: { 'application/problem+json': { schema: problemSchema } },
        },
      },
    },
  };
}
