/** One configuration for every project; tools/test-project.mjs narrows it with --roots. */
export default {
  testEnvironment: 'node',
  testMatch: ['**/src/**/*.spec.ts', '**/tools/**/*.spec.ts'],
  // Specs on a cluster of three come late beside too many others: tools/test.mjs runs them last.
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '\\.cluster\\.spec\\.ts$'],
  modulePathIgnorePatterns: ['/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  testEnvironmentOptions: { customExportConditions: ['@postern/source', 'node', 'node-addons'] },
  testTimeout: 180_000,
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2024',
          keepClassNames: true,
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
};
