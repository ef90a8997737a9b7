import { dirname, join } from 'node:path';
import { PosternError } from '@postern/contracts';

/**
 * Operator mode: accounts come as signed JWTs. The server keeps the newest it has seen in its own folder, so that an
 * account can be changed while it runs (`$SYS.REQ.CLAIMS.UPDATE`) and stays changed when it starts again.
 */
export interface OperatorMode {
  readonly operatorJwt: string;
  /** The public key of the system account. */
  readonly systemAccount: string;
  /** Account public key to account JWT: what a server that knows none, or an older one, begins with. */
  readonly preload: Readonly<Record<string, string>>;
}

/** One node of a cluster. */
export interface ClusterConfig {
  readonly name: string;
  readonly port: number;
  /** The cluster ports of all nodes on this machine, this one's among them or not. */
  readonly routePorts: readonly number[];
  /** The `host:port` at which the other nodes are told to reach this one, when that is not its cluster port. */
  readonly advertise?: string;
  /** Clients are not told where the other nodes are. */
  readonly noAdvertise?: boolean;
}

export interface NatsServerConfigOptions {
  readonly port: number;
  readonly monitorPort: number;
  readonly storeDir: string;
  /** Must be unique in a cluster. */
  readonly serverName?: string;
  /** Sync every write before it is acknowledged; NATS's own default syncs every two minutes. True when absent. */
  readonly syncAlways?: boolean;
  readonly fileStoreBytesMax?: number;
  readonly operatorMode?: OperatorMode;
  readonly cluster?: ClusterConfig;
  /** More configuration text, put at the end as it is. */
  readonly extra?: string;
}

const authenticationTimeoutS = 30;
const controlLineBytesMax = 16 * 1024;

function quoted(text: string): string {
  if (/[\p{Cc}"\\]/u.test(text)) {
    throw new PosternError('servers.start_failed', `A nats-server configuration cannot hold the text ${text}`);
  }
  return `"${text}"`;
}

function jetStream({ storeDir, syncAlways = true, fileStoreBytesMax }: NatsServerConfigOptions): string[] {
  return [
    'jetstream {',
    `  store_dir: ${quoted(storeDir)}`,
    ...(syncAlways ? ['  sync_interval: always'] : []),
    ...(fileStoreBytesMax === undefined ? [] : [`  max_file_store: ${fileStoreBytesMax}`]),
    '}',
  ];
}

function operator({ operatorJwt, systemAccount, preload }: OperatorMode, storeDir: string): string[] {
  return [
    `operator: ${quoted(operatorJwt)}`,
    `system_account: ${quoted(systemAccount)}`,
    'resolver {',
    '  type: full',
    `  dir: ${quoted(join(dirname(storeDir), 'accounts'))}`,
    '  allow_delete: false',
    '}',
    'resolver_preload {',
    ...Object.entries(preload).map(([account, jwt]) => `  ${account}: ${quoted(jwt)}`),
    '}',
  ];
}

function clusterLines({ name, port, routePorts, advertise, noAdvertise = false }: ClusterConfig): string[] {
  const routes = routePorts.filter((one) => one !== port).map((one) => `    nats://127.0.0.1:${one}`);
  return [
    'cluster {',
    `  name: ${quoted(name)}`,
    `  listen: "127.0.0.1:${port}"`,
    ...(routes.length > 0 ? ['  routes: [', ...routes, '  ]'] : []),
    ...(advertise === undefined ? [] : [`  advertise: ${quoted(advertise)}`]),
    ...(noAdvertise ? ['  no_advertise: true'] : []),
    '}',
  ];
}

/**
 * Renders a nats-server configuration: loopback only, JetStream on files, monitoring over HTTP.
 *
 * @throws {PosternError} `servers.start_failed` when a value holds quotes, backslashes or control characters.
 */
export function natsServerConfig(options: NatsServerConfigOptions): string {
  const { port, monitorPort, storeDir, serverName, operatorMode, cluster, extra } = options;
  const lines = [
    'host: "127.0.0.1"',
    `port: ${port}`,
    `http: "127.0.0.1:${monitorPort}"`,
    // How long a client may take to say who it is; NATS's own two seconds fail clients of a busy machine.
    `authorization { timeout: ${authenticationTimeoutS} }`,
    // A client shows its user's JWT, with all its permissions, in one line; NATS's own 4 KiB drop it without a word.
    `max_control_line: ${controlLineBytesMax}`,
    ...(serverName === undefined ? [] : [`server_name: ${quoted(serverName)}`]),
    ...jetStream(options),
    ...(operatorMode ? operator(operatorMode, storeDir) : []),
    ...(cluster ? clusterLines(cluster) : []),
    ...(extra === undefined ? [] : [extra]),
  ];
  return `${lines.join('\n')}\n`;
}
