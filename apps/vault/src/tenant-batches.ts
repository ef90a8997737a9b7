export interface BatchLimits {
  /** Questions in one batch. */
  readonly itemsMax: number;
  /** Batches of one tenant under way; what comes then waits for one of them to end. */
  readonly inFlightMax: number;
}

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly answered: PromiseWithResolvers<Answer>;
}

interface Queue<Question, Answer> {
  readonly waiting: Waiting<Question, Answer>[];
  inFlight: number;
  scheduled: boolean;
}

/**
 * Questions of one tenant, asked many at once: those that follow from one event (what came in one read of a socket) together,
 * and those that come while enough batches are under way together with the next. A question that comes alone waits for
 * nothing, not even for the end of its turn.
 *
 * Never of two tenants in one batch: a batch stands behind one tenant's wall, and is one tenant's key's.
 */
export class TenantBatches<Question, Answer> {
  readonly #ask: (tenantId: string, questions: readonly Question[]) => Promise<readonly Answer[]>;
  readonly #limits: BatchLimits;
  readonly #queues = new Map<string, Queue<Question, Answer>>();

  /** @param ask gives one answer a question, in their order; when it throws, every question of the batch fails with it. */
  constructor(
    ask: (tenantId: string, questions: readonly Question[]) => Promise<readonly Answer[]>,
    limits: BatchLimits,
  ) {
    this.#ask = ask;
    this.#limits = limits;
  }

  async ask(tenantId: string, question: Question): Promise<Answer> {
    const queue = this.#queues.get(tenantId) ?? { waiting: [], inFlight: 0, scheduled: false };
    this.#queues.set(tenantId, queue);
    const answered = Promise.withResolvers<Answer>();
    queue.waiting.push({ question, answered });
    if (!queue.scheduled) {
      queue.scheduled = true;
      process.nextTick(() => {
        queue.scheduled = false;
        this.#send(tenantId, queue);
      });
    }
    return await answered.promise;
  }

  #send(tenantId: string, queue: Queue<Question, Answer>): void {
    const { itemsMax, inFlightMax } = this.#limits;
    while (queue.inFlight < inFlightMax && queue.waiting.length > 0) {
      queue.inFlight += 1;
      void this.#answer(tenantId, queue.waiting.splice(0, itemsMax)).then(() => {
        queue.inFlight -= 1;
        this.#send(tenantId, queue);
        if (queue.inFlight === 0 && queue.waiting.length === 0) this.#queues.delete(tenantId);
      });
    }
  }

  /** Never rejects. */
  async #answer(tenantId: string, batch: readonly Waiting<Question, Answer>[]): Promise<void> {
    try {
      const answers = await this.#ask(
        tenantId,
        batch.map(({ question }) => question),
      );
      for (const [index, { answered }] of batch.entries()) answered.resolve(answers[index] as Answer);
    } catch (error) {
      for (const { answered } of batch) answered.reject(error);
    }
  }
}
