/**
 * What MCP's own conformance suite starts as a client, with the URL of its MCP server as last argument: it has an identity
 * provider assert who the user is, gets a token for that, and calls the server. `tools/second-opinion.mjs` has it started.
 */
import { Secret } from '../../libs/crypto/dist/index.js';
import { loadCatalog, providerOf } from '../../libs/provider-catalog/dist/index.js';
import {
  heldClientSecret,
  meetResource,
  ProviderClient,
  renewByIdentity,
} from '../../libs/provider-client/dist/index.js';

const url = process.argv.at(-1);
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT);
const { client_id: clientId, client_secret: clientSecret, idp_issuer: issuer, idp_client_id: idpClientId } = context;

const met = await meetResource({ url, issuer: undefined, document: null, hasClient: true, allowLoopback: true });
const clientAt = (id, registration, credentials) =>
  new ProviderClient({ provider: providerOf(loadCatalog(), id), registration, credentials, allowLoopback: true });
const identityProvider = clientAt(
  'openid-connect',
  { clientId: idpClientId, tokenEndpointAuthMethod: 'none', parameters: { issuer } },
  null,
);
const resourceServer = clientAt(
  'mcp',
  {
    clientId,
    tokenEndpointAuthMethod: 'client_secret_basic',
    parameters: { resource: met.resource, issuer: met.issuer },
  },
  heldClientSecret(Secret.from(clientSecret)),
);
const subject = { connectionId: 'con_01jd0000000000000000000001', registrationId: 'reg_01jd0000000000000000000001' };
const renewal = { grant: 'identity_assertion', scopes: [...met.scopes], resource: [], subject, parameters: {} };
const idToken = Secret.from(context.idp_id_token);
const outcome = await renewByIdentity({ identityProvider, resourceServer, renewal, idToken });
if (outcome.kind !== 'refreshed') throw new Error(`no token but ${JSON.stringify(outcome)}`);

const call = async (method, params = {}) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${outcome.tokenSet.accessToken}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  if (!response.ok) throw new Error(`${method}: ${response.status}`);
  await response.text();
};
const clientInfo = { name: 'postern', version: '0' };
await call('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
await call('tools/list');
