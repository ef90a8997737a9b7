import type { z } from 'zod';

/** Says yes only to what a schema would give back as it is; a no says nothing. */
type Fits = (value: unknown) => boolean;

/** What a schema of zod says of itself (`zod/v4/core` names it so for libraries that walk schemas). */
interface Definition {
  readonly type: string;
  readonly check?: string;
  readonly checks?: readonly { readonly _zod: { readonly def: Definition } }[];
  readonly coerce?: boolean;
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly length?: number;
  readonly value?: unknown;
  readonly values?: readonly unknown[];
  readonly inclusive?: boolean;
  readonly entries?: Readonly<Record<string, string>>;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly element?: z.ZodType;
  readonly innerType?: z.ZodType;
  readonly keyType?: z.ZodType;
  readonly valueType?: z.ZodType;
}

const known = new WeakMap<z.ZodType, Fits | null>();

/**
 * Reads what `JSON.parse` made through a schema.
 *
 * Nearly everything in the log was written by us and fits as it is. A replay would spend most of its time on zod's
 * bookkeeping for such values, so they are looked at first, by tests made from the same schema; whatever these do not
 * know, or do not find just so, zod decides, as it does everything that is refused.
 *
 * @returns what the schema's own parse gives, though not always a copy; undefined when it refuses.
 */
export function parseJson<T>(schema: z.ZodType<T>, json: unknown): T | undefined {
  let fits = known.get(schema);
  if (fits === undefined) {
    fits = fitsOf(schema) ?? null;
    known.set(schema, fits);
  }
  return fits?.(json) === true ? (json as T) : schema.safeParse(json).data;
}

/** @returns undefined for a schema that is not known in every part. */
function fitsOf(schema: z.ZodType): Fits | undefined {
  const def = schema._zod.def as unknown as Definition;
  if (def.coerce === true) return undefined;
  switch (def.type) {
    case 'string':
      return withChecks(def, (value) => typeof value === 'string');
    case 'number':
      return withChecks(def, Number.isFinite);
    case 'array':
      return withChecks(def, arrayFits(def));
    case 'boolean':
      return withChecks(def, (value) => typeof value === 'boolean');
    case 'unknown':
      return withChecks(def, () => true);
    case 'literal':
      return withChecks(def, oneOf(def.values));
    case 'never':
      return withChecks(def, () => false);
    case 'enum':
      return withChecks(def, oneOf(Object.values(def.entries ?? {})));
    case 'nullable':
      return withChecks(def, nullableFits(def));
    case 'object':
      return withChecks(def, objectFits(def));
    case 'record':
      return withChecks(def, recordFits(def));
    default:
      return undefined;
  }
}

function withChecks(def: Definition, base: Fits | undefined): Fits | undefined {
  // A format such as a time is its own first check.
  const own = def.check === undefined ? [] : [def];
  const checks = [...own, ...(def.checks ?? []).map((check) => check._zod.def)].map(checkOf);
  if (base === undefined || !checks.every((check) => check !== undefined)) return undefined;
  if (checks.length === 0) return base;
  const [first, second] = checks;
  if (first !== undefined && second === undefined) return (value) => base(value) && first(value);
  return (value) => base(value) && checks.every((check) => check(value));
}

// oxlint-disable-next-line typescript/no-explicit-any -- a check runs only after the test of its type
type Check = (value: any) => boolean;

function checkOf({
  check,
  format,
  pattern,
  minimum = 0,
  maximum = 0,
  length: wanted,
  value: bound,
  inclusive,
}: Definition): Check | undefined {
  if (check === 'string_format' && (format === 'regex' || format === 'datetime') && pattern !== undefined) {
    return pattern.global || pattern.sticky ? undefined : (value: string) => pattern.test(value);
  }
  if (check === 'number_format' && format === 'safeint') return Number.isSafeInteger;
  if (check === 'greater_than' && typeof bound === 'number') {
    return inclusive === true ? (value: number) => value >= bound : (value: number) => value > bound;
  }
  if (check === 'less_than' && typeof bound === 'number') {
    return inclusive === true ? (value: number) => value <= bound : (value: number) => value < bound;
  }
  if (check === 'length_equals') return (value: string | unknown[]) => value.length === wanted && !hasPairs(value);
  // Lengths of text are counted in characters, of which each takes one or two of JavaScript's units.
  if (check === 'max_length') return ({ length }: string) => length <= maximum;
  if (check === 'min_length') {
    return (value: string | unknown[]) => value.length >= (typeof value === 'string' ? 2 * minimum - 1 : minimum);
  }
  return undefined;
}

/** Two units that are one character. */
function hasPairs(value: string | unknown[]): boolean {
  return typeof value === 'string' && /[\uD800-\uDBFF]/.test(value);
}

function oneOf(allowed: readonly unknown[] = []): Fits {
  const values = new Set<unknown>(allowed);
  return (value) => values.has(value);
}

function nullableFits({ innerType }: Definition): Fits | undefined {
  const inner = innerType === undefined ? undefined : fitsOf(innerType);
  return inner && ((value) => value === null || inner(value));
}

function arrayFits({ element }: Definition): Fits | undefined {
  const each = element === undefined ? undefined : fitsOf(element);
  return each && ((value) => Array.isArray(value) && value.every(each));
}

/** Only of anything by any name; of a `__proto__` zod says what becomes of it. */
function recordFits({ keyType, valueType }: Definition): Fits | undefined {
  const anyName =
    (keyType?._zod.def as Definition | undefined)?.type === 'string' && keyType?._zod.def.checks === undefined;
  const anyValue = (valueType?._zod.def as Definition | undefined)?.type === 'unknown';
  const isPlain: Fits = (value) => isObject(value) && !Object.hasOwn(value, '__proto__');
  if (anyName && anyValue) return isPlain;
  const [fitsName, fitsValue] = [keyType, valueType].map((type) => (type === undefined ? undefined : fitsOf(type)));
  if (keyType?._zod.def.type !== 'string' || fitsName === undefined || fitsValue === undefined) return undefined;
  return (value) =>
    isPlain(value) && Object.entries(value as object).every(([name, held]) => fitsName(name) && fitsValue(held));
}

/** The members of the shape in its order and no others; zod drops those and mends the order. */
function objectFits({ shape = {} }: Definition): Fits | undefined {
  const members: { name: string; fits: Fits; optional: boolean }[] = [];
  for (const [name, schema] of Object.entries(shape)) {
    const def = schema._zod.def as unknown as Definition;
    const optional = def.type === 'optional';
    const fits = optional && def.innerType !== undefined ? fitsOf(def.innerType) : fitsOf(schema);
    if (fits === undefined) return undefined;
    members.push({ name, fits, optional });
  }
  return (value) => {
    if (!isObject(value)) return false;
    let met = 0;
    for (const name in value) {
      while (members[met]?.optional === true && members[met]?.name !== name) met += 1;
      const member = members[met];
      if (member?.name !== name || !member.fits(value[name])) return false;
      met += 1;
    }
    while (members[met]?.optional === true) met += 1;
    return met === members.length;
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
