import { z } from 'zod';

/** Where a value comes from: the variable itself, or the file it names (`…_FILE`). */
export type FieldSource = 'variable' | 'secret_file' | 'public_file';

interface FieldSpec<T> {
  readonly source: FieldSource;
  /** Reads the text of the variable, or of the file; its issues are sentences a person can act on. */
  readonly schema: z.ZodType<T>;
  readonly variable?: string;
  readonly absent?: { readonly make: () => T };
  /** Removed from the property's name before the variable's name is made: `claimTimeoutMs` is `…_CLAIM_TIMEOUT`. */
  readonly strip?: string;
}

/**
 * One value of a configuration: how it is read, and what it is when nobody set it.
 *
 * Fields are made by the functions below, never by hand: `text()`, `integer()`, `duration()`, `secretFile()` ….
 */
export class Field<T> {
  readonly spec: FieldSpec<T>;

  constructor(spec: FieldSpec<T>) {
    this.spec = spec;
  }

  /** Without the variable the field has this value. */
  default(value: T): Field<T> {
    return this.defaultFrom(() => value);
  }

  /** Without the variable the field has a value made at each reading. */
  defaultFrom(make: () => T): Field<T> {
    return new Field({ ...this.spec, absent: { make } });
  }

  /** Without the variable the field is undefined. */
  optional(): Field<T | undefined> {
    return new Field<T | undefined>({ ...this.spec, absent: { make: () => undefined } });
  }

  /** Reads another variable than the one its property's name makes. */
  from(variable: string): Field<T> {
    return new Field({ ...this.spec, variable });
  }

  /** The variable of this field when it stands under that property: `httpPort` is `POSTERN_HTTP_PORT`. */
  variableOf(property: string): string {
    if (this.spec.variable !== undefined) return this.spec.variable;
    const { strip, source } = this.spec;
    const bare = strip !== undefined && property.endsWith(strip) ? property.slice(0, -strip.length) : property;
    const name = bare.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
    return `POSTERN_${name}${source === 'variable' ? '' : '_FILE'}`;
  }
}

/** Fields of a configuration by property. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What a configuration of these fields holds. */
export type ValuesOf<S extends Fields> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never };
