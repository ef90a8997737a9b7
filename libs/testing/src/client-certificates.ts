import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A certificate with the authority's behind it, and its private key. */
export interface TestCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  /** As `postern registrations create --certificate-file` takes it: chain and key. */
  readonly pem: string;
}

/** An authority that issues TLS certificates by `openssl`, for one spec. */
export class TestAuthority {
  readonly caPath: string;
  readonly #folder: string;
  #count = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    this.caPath = join(folder, 'ca.pem');
  }

  static async make(): Promise<TestAuthority> {
    const authority = new TestAuthority(mkdtempSync(join(tmpdir(), 'postern-authority-')));
    const ca = ['-subj', '/CN=Test authority', '-addext', 'basicConstraints=critical,CA:TRUE'];
    await authority.#openssl(['req', '-x509', ...newKey, '-keyout', 'ca-key.pem', '-out', 'ca.pem', ...ca]);
    return authority;
  }

  get ca(): string {
    return readFileSync(this.caPath, 'utf8');
  }

  /** @param days until it ends; negative for one that has ended. */
  async issue(name: string, { days = 30 }: { readonly days?: number } = {}): Promise<TestCertificate> {
    const serial = (this.#count += 1);
    const at = `issued-${serial}`;
    writeFileSync(join(this.#folder, `${at}.cnf`), `subjectAltName=DNS:${name},IP:127.0.0.1\n`);
    await this.#openssl(['req', ...newKey, '-keyout', `${at}-key.pem`, '-out', `${at}.csr`, '-subj', `/CN=${name}`]);
    const signer = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-set_serial', String(serial), '-extfile', `${at}.cnf`];
    await this.#openssl(['x509', '-req', '-in', `${at}.csr`, '-out', `${at}.pem`, ...signer, '-days', String(days)]);
    return this.#read(at, this.ca);
  }

  /** One that no authority signed. */
  async selfSigned(name: string): Promise<TestCertificate> {
    const at = `own-${(this.#count += 1)}`;
    await this.#openssl([
      ...['req', '-x509', ...newKey, '-keyout', `${at}-key.pem`, '-out', `${at}.pem`, '-subj', `/CN=${name}`],
    ]);
    return this.#read(at, '');
  }

  /** Files of it, which go with the authority. */
  write({ certificate, privateKey }: TestCertificate): { readonly certPath: string; readonly keyPath: string } {
    const at = join(this.#folder, `written-${(this.#count += 1)}`);
    const [certPath, keyPath] = [`${at}.pem`, `${at}-key.pem`];
    writeFileSync(certPath, certificate);
    writeFileSync(keyPath, privateKey, { mode: 0o600 });
    return { certPath, keyPath };
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #read(at: string, chain: string): TestCertificate {
    const certificate = readFileSync(join(this.#folder, `${at}.pem`), 'utf8');
    const privateKey = readFileSync(join(this.#folder, `${at}-key.pem`), 'utf8');
    return { certificate, privateKey, pem: `${certificate}${chain}${privateKey}` };
  }

  async #openssl(args: readonly string[]): Promise<void> {
    await run('openssl', args, { cwd: this.#folder });
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
