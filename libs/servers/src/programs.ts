/** The programs that are looked for: what they are called, how old they may be, and how they are had. */
export type ProgramName = 'nats-server' | 'vault' | 'versitygw';

/** What is known of one program. */
export interface Program {
  readonly name: ProgramName;
  readonly variable: string;
  readonly versionMin: string;
  /** The Go package that `tools/<name>/go.mod` pins. */
  readonly goPackage: string;
  readonly goModule: string;
  /** How long a build takes on two cores, in words for the progress line. */
  readonly buildTime: string;
  readonly cgo: boolean;
  /** The variable of the program that a build sets to the pinned version, where it says it by `--version` only then. */
  readonly goVersionVariable?: string;
  readonly image: string;
  readonly imageVariable: string;
  readonly imagePath: string;
  readonly install: readonly string[];
}

/** The closed table of programs. */
export const programs: Readonly<Record<ProgramName, Program>> = Object.freeze({
  'nats-server': {
    name: 'nats-server',
    variable: 'POSTERN_NATS_SERVER',
    versionMin: '2.14.0',
    goPackage: 'github.com/nats-io/nats-server/v2',
    goModule: 'github.com/nats-io/nats-server/v2',
    buildTime: 'about a minute',
    cgo: false,
    image: 'nats:2.15.2',
    imageVariable: 'POSTERN_NATS_IMAGE',
    imagePath: '/nats-server',
    install: [
      'Debian: install the .deb of version 2.15 from github.com/nats-io/nats-server/releases ' +
        '(dpkg -i nats-server-v2.15.2-amd64.deb; the one in Debian is too old), or Go 1.26 to have it built',
      'macOS: brew install nats-server',
      'Docker: start a Docker engine, and the program is taken from the image nats:2.15.2 (docker pull nats:2.15.2)',
    ],
  },
  vault: {
    name: 'vault',
    variable: 'POSTERN_VAULT',
    versionMin: '1.15.0',
    goPackage: 'github.com/hashicorp/vault',
    goModule: 'github.com/hashicorp/vault',
    buildTime: 'about seven minutes',
    cgo: false,
    image: 'hashicorp/vault:1.21.1',
    imageVariable: 'POSTERN_VAULT_IMAGE',
    imagePath: '/bin/vault',
    install: [
      'Debian: add the package source that developer.hashicorp.com/vault/install names, then apt-get install vault, ' +
        'or install Go 1.26 to have it built',
      'macOS: brew install hashicorp/tap/vault',
      'Docker: start a Docker engine, and the program is taken from hashicorp/vault:1.21.1 ' +
        '(docker pull hashicorp/vault:1.21.1)',
    ],
  },
  versitygw: {
    name: 'versitygw',
    variable: 'POSTERN_VERSITYGW',
    versionMin: '1.0.0',
    goPackage: 'github.com/versity/versitygw/cmd/versitygw',
    goModule: 'github.com/versity/versitygw',
    buildTime: 'about two minutes',
    cgo: false,
    goVersionVariable: 'main.Version',
    image: 'versity/versitygw:v1.8.0',
    imageVariable: 'POSTERN_VERSITYGW_IMAGE',
    imagePath: '/usr/local/bin/versitygw',
    install: [
      'Debian: install the .deb of version 1.8 from github.com/versity/versitygw/releases, or Go 1.26 to have it built',
      'macOS: install Go 1.26 to have it built',
      'Docker: start a Docker engine, and the program is taken from versity/versitygw:v1.8.0 ' +
        '(docker pull versity/versitygw:v1.8.0)',
    ],
  },
});
