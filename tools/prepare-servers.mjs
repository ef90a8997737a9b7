#!/usr/bin/env node
/**
 * Finds the servers that the tests start, or builds them, before the first test: a build takes minutes, and a test should
 * not wait for it. Without POSTERN_REQUIRE_SERVERS=1 only nats-server is built; the others are used where they are found.
 */
import { findNatsServer, findVault, findVersitygw } from '../libs/servers/dist/index.js';

const required = process.env.POSTERN_REQUIRE_SERVERS === '1';
const told = ({ path, version, source }) => `${version} (${source}: ${path})`;
try {
  console.log(`nats-server ${told(await findNatsServer())}`);
  const wherever = required ? {} : { sources: ['env', 'path', 'cache'] };
  console.log(`versitygw ${told(await findVersitygw(wherever))}`);
  console.log(`vault ${told(await findVault(wherever))}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = required ? 1 : 0;
}
