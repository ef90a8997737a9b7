import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PosternError } from '@postern/contracts';

const run = promisify(execFile);
const validDays = 825;
const renewMs = 30 * 24 * 3600 * 1000;

/** The certificate files of one server. */
export interface TlsFiles {
  readonly caPath: string;
  readonly certPath: string;
  readonly keyPath: string;
}

/** The machine itself, by address and by name. */
const thisMachine = ['IP:127.0.0.1', 'DNS:localhost'];

const requestConfig = (names: readonly string[]) => `[req]
distinguished_name = name
prompt = no
[name]
CN = Postern local
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${names.join(', ')}
`;

async function openssl(args: readonly string[], cwd: string): Promise<void> {
  try {
    await run('openssl', args, { cwd });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const text = missing
      ? 'openssl was not found; it makes the TLS certificates of this machine. Debian: apt-get install openssl, macOS: brew install openssl'
      : `openssl could not make a certificate: ${String((error as { stderr?: string }).stderr).trim()}`;
    throw new PosternError('servers.start_failed', text, { cause: error });
  }
}

function newKey(path: string): readonly string[] {
  return ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', path];
}

async function issue(folder: string, names: readonly string[]): Promise<void> {
  writeFileSync(join(folder, 'openssl.cnf'), requestConfig(names), { mode: 0o600 });
  const config = ['-config', 'openssl.cnf', '-sha256'];
  const days = ['-days', String(validDays)];
  await openssl(newKey('ca-key.pem'), folder);
  await openssl(
    ['req', '-x509', '-new', '-key', 'ca-key.pem', '-out', 'ca.pem', '-extensions', 'ca', ...days, ...config],
    folder,
  );
  await openssl(newKey('key.pem'), folder);
  await openssl(['req', '-new', '-key', 'key.pem', '-subj', '/CN=127.0.0.1', '-out', 'cert.csr', ...config], folder);
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial'];
  const extensions = ['-extfile', 'openssl.cnf', '-extensions', 'server'];
  await openssl(
    ['x509', '-req', '-in', 'cert.csr', '-out', 'cert.pem', '-sha256', ...signer, ...extensions, ...days],
    folder,
  );
  for (const name of ['ca-key.pem', 'cert.csr', 'openssl.cnf', 'ca.srl']) rmSync(join(folder, name), { force: true });
}

function isFresh({ certPath }: TlsFiles): boolean {
  if (!existsSync(certPath)) return false;
  return new X509Certificate(readFileSync(certPath)).validToDate.getTime() - Date.now() > renewMs;
}

/**
 * A certificate for 127.0.0.1 and localhost, or for other names, signed by an authority of its own whose key is thrown
 * away: nobody can issue another. Made anew when it has less than thirty days to live.
 *
 * @param names as `subjectAltName` has them, such as `DNS:localhost`; a folder's certificate keeps those it was made with.
 * @throws {PosternError} `servers.start_failed` when openssl is missing.
 * @effect files in `<dataDir>/tls`; may be repeated.
 */
export async function ensureTls(dataDir: string, names: readonly string[] = thisMachine): Promise<TlsFiles> {
  const folder = join(dataDir, 'tls');
  const [caPath, certPath, keyPath] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const files = { caPath, certPath, keyPath };
  if (isFresh(files)) return files;
  const fresh = mkdtempSync(`${folder}-`);
  try {
    await issue(fresh, names);
    rmSync(folder, { recursive: true, force: true });
    renameSync(fresh, folder);
    return files;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
