import { eventLogContract } from './contract/event-log-contract.ts';
import { MemoryEventLog } from './memory-event-log.ts';

eventLogContract('the log in memory', () => {
  const log = new MemoryEventLog();
  return Promise.resolve({
    log,
    otherLog: log,
    put: (message) => Promise.resolve(log.put(message)),
    loseNextAcknowledgement: () => log.injectFaults('lose_acknowledgement'),
    stopServing: () => Promise.resolve(log.stopServing()),
    resumeServing: () => Promise.resolve(log.resumeServing()),
    close: () => Promise.resolve(),
  });
});
