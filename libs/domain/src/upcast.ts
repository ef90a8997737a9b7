import {
  eventDefinitions,
  parseJson,
  PosternError,
  type EventDefinition,
  type PosternEvent,
  type StoredEvent,
} from '@postern/contracts';

/** Lifts the data of one version to the next. Mechanical: it adds or renames, and never decides. */
export type Upcaster = (data: Record<string, unknown>) => Record<string, unknown>;

/** Upcasters by `<type>.v<version they lift from>`. */
export type UpcasterTable = Readonly<Record<string, Upcaster>>;

interface UpcastingTables {
  readonly upcasters: UpcasterTable;
  /** What the newest versions are; tests put in their own. */
  readonly definitions: ReadonlyMap<string, Pick<EventDefinition, 'version' | 'data'>>;
}

function unknownVersion({ type, version }: StoredEvent): PosternError {
  return new PosternError('log.version_unknown', `This release does not know ${type} in version ${version}.`);
}

/**
 * Makes the function that lifts stored events to their newest version, one version at a time.
 *
 * @throws {PosternError} (the function) `log.version_unknown` for an unknown type, a version of the future, or one
 *   that no upcaster lifts; `log.message_damaged` when the data do not fit the newest version's schema
 */
export function upcasterOf({ upcasters, definitions }: UpcastingTables): (stored: StoredEvent) => PosternEvent {
  return (stored) => {
    const { type } = stored;
    const definition = definitions.get(type);
    if (definition === undefined || stored.version > definition.version) throw unknownVersion(stored);
    let data: Record<string, unknown> = stored.data;
    for (let version = stored.version; version < definition.version; version += 1) {
      const lift = upcasters[`${type}.v${version}`];
      if (lift === undefined) throw unknownVersion({ ...stored, version });
      data = lift(data);
    }
    const parsed = parseJson(definition.data, data);
    if (parsed === undefined) {
      throw new PosternError('log.message_damaged', `The data of a stored ${type} do not fit.`, {
        cause: definition.data.safeParse(data).error,
      });
    }
    return { type, version: definition.version, data: parsed } as PosternEvent;
  };
}

const upcasters: UpcasterTable = Object.freeze({
  /** Then RFC 7009 was the only way to tell a provider. */
  'UpstreamRevocationCompleted.v1': (data) => data,
  /** Then nothing but a request ended a connection. */
  'ConnectionRevoked.v1': (data) => ({ ...data, evidence: null }),
  /** Then there were client secrets only, and the newest was the only one in use. */
  'RegistrationSecretStored.v1': ({ secretVersion }) => ({
    kind: 'client_secret',
    secretVersion,
    previousEndsAtMs: 0,
    publicJwk: null,
  }),
});

/**
 * A stored event as this release understands it.
 *
 * @throws {PosternError} `log.version_unknown`: whoever folds must stop here, since skipping an event would fold a
 *   state that never was; `log.message_damaged`
 */
export const upcast: (stored: StoredEvent) => PosternEvent = upcasterOf({ upcasters, definitions: eventDefinitions });
