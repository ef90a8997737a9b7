import { PosternError } from '@postern/contracts';
import { Field, type Fields, type ValuesOf } from './config-field.ts';
import { readConfigFile } from './config-files.ts';

/** A rule between values, with the sentence that a broken one is told by. */
export interface ConfigRule<V> {
  readonly variable: string;
  readonly broken: (values: V) => string | undefined;
}

/**
 * A configuration: a class whose instance holds the values, so that it is its own injection token.
 *
 * `class VaultConfig extends defineConfig({ … }) {}`, then `constructor(private readonly config: VaultConfig)`.
 */
export interface ConfigClass<V extends object> {
  /** Values are given by `readConfig` alone; `never` lets an app's class stand where a service's is asked for. */
  new (values: never): V;
  readonly fields: Fields;
  readonly rules: readonly ConfigRule<never>[];
}

/** The environment a configuration is read from. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** How one value stands, for `postern doctor`: secrets are masked here, not by the printer. */
export interface ConfigEntry {
  readonly property: string;
  readonly variable: string;
  readonly value: string;
  readonly source: 'environment' | 'file' | 'default' | 'absent';
  readonly problem?: string;
}

/** Makes the class of a configuration of its own fields alone; services start from `defineConfig`. */
export function configClass<const S extends Fields>(
  fields: S,
  rules: readonly ConfigRule<ValuesOf<S>>[] = [],
): ConfigClass<ValuesOf<S>> {
  class Config {
    static readonly fields = fields;
    static readonly rules = rules;

    constructor(values: ValuesOf<S>) {
      Object.assign(this, values);
      Object.freeze(this);
    }
  }
  return Config as unknown as ConfigClass<ValuesOf<S>>;
}

interface Read {
  readonly property: string;
  readonly variable: string;
  readonly source: ConfigEntry['source'];
  readonly value?: unknown;
  readonly problem?: string;
}

/**
 * Reads a configuration once; the result is frozen.
 *
 * @throws {PosternError} `config.invalid`, naming every variable that is wrong, so that one start shows all of them.
 */
export function readConfig<V extends object>(definition: ConfigClass<V>, env: Environment): V {
  const reads = readFields(definition.fields, env);
  const problems = reads.flatMap(({ variable, problem }) => (problem === undefined ? [] : [{ variable, problem }]));
  const values = Object.fromEntries(reads.map(({ property, value }) => [property, value]));
  const broken = problems.length > 0 ? [] : brokenRules(definition.rules, values);
  const all = [...problems, ...broken];
  if (all.length === 0) return new definition(values as never);
  const sentences = all.map(({ variable, problem }) => `${variable} ${problem}`);
  const fields = all.map(({ variable, problem }) => ({ path: variable, reason: problem }));
  throw new PosternError('config.invalid', `${sentences.join('. ')}.`, { details: { fields } });
}

/** Tells every value, its variable and where it came from, secrets masked; it never throws. */
export function describeConfig(definition: ConfigClass<object>, env: Environment): ConfigEntry[] {
  return readFields(definition.fields, env).map(({ property, variable, source, value, problem }) => ({
    property,
    variable,
    source,
    value: source === 'file' ? (env[variable] ?? '') : shown(value),
    ...(problem === undefined ? {} : { problem }),
  }));
}

function shown(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function readFields(fields: Fields, env: Environment): Read[] {
  return Object.entries(fields).map(([property, field]) => readField(property, field, env));
}

function readField(property: string, field: Field<unknown>, env: Environment): Read {
  const variable = field.variableOf(property);
  const named = { property, variable };
  const written = env[variable] ?? '';
  const bare = variable.replace(/_FILE$/, '');
  if (field.spec.source === 'secret_file' && bare !== variable && (env[bare] ?? '') !== '') {
    const problem = `is how a secret is given; ${bare} would show it to every process, so unset it`;
    return { ...named, source: 'environment', problem };
  }
  if (written === '') {
    const { absent } = field.spec;
    if (absent === undefined) return { ...named, source: 'absent', problem: 'is not set' };
    const value = absent.make();
    return { ...named, source: value === undefined ? 'absent' : 'default', value };
  }
  return { ...named, ...parse(field, written) };
}

function parse(field: Field<unknown>, written: string): Pick<Read, 'source' | 'value' | 'problem'> {
  const { source, schema } = field.spec;
  const read =
    source === 'variable' ? { content: written } : readConfigFile(written, { secret: source === 'secret_file' });
  const from = source === 'variable' ? 'environment' : 'file';
  if ('problem' in read) return { source: from, problem: read.problem };
  const parsed = schema.safeParse(read.content);
  if (parsed.success) return { source: from, value: parsed.data };
  return { source: from, problem: parsed.error.issues.map(({ message }) => message).join(' and ') };
}

function brokenRules(rules: readonly ConfigRule<never>[], values: object): { variable: string; problem: string }[] {
  return rules.flatMap(({ variable, broken }) => {
    const problem = broken(values as never);
    return problem === undefined ? [] : [{ variable, problem }];
  });
}
