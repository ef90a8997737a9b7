/** Every connection folded from its events, against an ordered consumer that only parses JSON. */
import { DeliverPolicy, jetstream } from '@nats-io/jetstream';
import { subjects } from '@postern/contracts';
import { connectionEvolver, upcast } from '@postern/domain';
import { CommitReader, commitVerifier, foldEntry } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';

import { round, sideBySide } from '../median.mjs';

/** As many at a time as our reading asks for, and as early: a refill costs both sides the same. */
const asOurs = { max_messages: 1_000, threshold_messages: 500 };
/** Believes every key: what is left is the work beside the signature. */
export const unchecked = { verify: (keyId) => named.get(keyId) ?? name(keyId) };
const named = new Map();
function name(keyId) {
  const one = { identity: keyId.split('.', 1)[0] };
  named.set(keyId, one);
  return one;
}
export const perSecond = (count, since) => (count * 1_000) / (performance.now() - since);

export async function benchReplay({ bus, trust, rounds, commits }, { baseline, result, ratios }) {
  const raw = async () => {
    const options = { filter_subjects: subjects.allConnections, deliver_policy: DeliverPolicy.All };
    const consumer = await jetstream(bus.connection).consumers.get('CONNECTIONS', options);
    const since = performance.now();
    let count = 0;
    for await (const message of await consumer.consume(asOurs)) {
      message.json();
      count += 1;
      if (message.info.pending === 0) break;
    }
    return perSecond(count, since);
  };
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const folding = (verifier) => async () => {
    const reader = new CommitReader({ verifier });
    const states = new Map();
    const nothing = { state: connectionEvolver.initialState, revision: 0, position: 0, hash: null };
    const since = performance.now();
    for await (const message of log.read({ filter: subjects.allConnections })) {
      const { entry } = reader.read(message);
      const before = states.get(entry.subject) ?? nothing;
      states.set(entry.subject, foldEntry(before, entry, { evolver: connectionEvolver, upcast }));
    }
    return perSecond(commits, since);
  };
  const bare = await sideBySide({ rounds, baseline: raw, ours: folding(unchecked) });
  const signed = await sideBySide({
    rounds,
    baseline: raw,
    ours: folding(commitVerifier(trust, { rememberedMax: 1_000 })),
  });
  baseline.raw_consumer_per_s = round(bare.baseline, 0);
  result.replay_per_s = round(bare.ours, 0);
  result.replay_with_signatures_per_s = round(signed.ours, 0);
  ratios.replay = round(bare.ratio);
  ratios.replay_with_signatures = round(signed.ratio);
}
