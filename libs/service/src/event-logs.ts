import type { EventLog } from '@postern/event-log';
import { JetStreamEventLog, readEpochs, type Bus, type LogEpochs } from '@postern/nats';

/** The streams of the event log, each made when it is first asked for: the bus lets an app reach only its own. */
export class EventLogs {
  readonly #bus: Bus;
  readonly #logs = new Map<string, EventLog>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  get connections(): EventLog {
    return this.#log('connections');
  }

  get admin(): EventLog {
    return this.#log('admin');
  }

  get access(): EventLog {
    return this.#log('access');
  }

  get checkpoints(): EventLog {
    return this.#log('checkpoints');
  }

  /** No log of commits; read by position alone. */
  get notifications(): EventLog {
    return this.#log('notifications');
  }

  /** Where a stream stands, and where its epochs begin. @throws {PosternError} `log.unavailable` */
  async epochs(stream: 'connections' | 'access'): Promise<LogEpochs> {
    return await readEpochs(this.#bus, stream);
  }

  #log(stream: 'connections' | 'admin' | 'access' | 'checkpoints' | 'notifications'): EventLog {
    const log = this.#logs.get(stream) ?? new JetStreamEventLog({ bus: this.#bus, stream });
    this.#logs.set(stream, log);
    return log;
  }
}
