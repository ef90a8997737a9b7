#!/usr/bin/env node
/**
 * Acme CRM on this machine, for trying Postern by hand: a real authorization server with login and consent pages, a
 * contacts API, and the page of an agent platform that browsers come back to. Runs until Ctrl-C, on the Node that the project brings.
 *
 *   npx node examples/acme-crm.mjs --redirect-uri http://127.0.0.1:7420/oauth/callback/reg_…
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { acmeAccounts, startAcme, startPlatformSite } from '@postern/testing';

const text = { type: 'string' };
const { values: given } = parseArgs({ options: { 'redirect-uri': text, 'secret-file': text } });
const secretFile = given['secret-file'] ?? 'acme.secret';

const acme = await startAcme({ port: 9400, accessTokenTtlS: 60 });
const site = await startPlatformSite({ port: 9401 });
const client = await acme.registerClient({ redirectUris: [given['redirect-uri']], clientName: 'Postern' });
writeFileSync(secretFile, client.clientSecret, { mode: 0o600 });

console.log(`issuer          ${acme.issuer}
client id       ${client.clientId}
client secret   in ${secretFile}
return URL      ${site.returnUrl}
contacts API    ${acme.endpoints.contacts}
connected apps  ${acme.endpoints.connectedApps}
sign in as      ${acmeAccounts.ada.email} / ${acmeAccounts.ada.password}`);
