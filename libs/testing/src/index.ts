export { acmeAccounts } from './acme/acme-accounts.ts';
export type { AcmeAccount } from './acme/acme-accounts.ts';
export type { AcmeClient, AcmeClientRegistration, ReuseRule } from './acme/acme-clients.ts';
export type { AcmeEndpoint, AcmeFault, AcmeFaultPlan, AcmeFaults } from './acme/acme-faults.ts';
export { acmeEnterUserCode, acmeLoginAndConsent, acmeRevokeApp } from './acme/acme-journeys.ts';
export type { EnterUserCode, LoginAndConsent, RevokeApp } from './acme/acme-journeys.ts';
export type { AcmeSecurityEvent } from './acme/acme-security-events.ts';
export { tokenFingerprint } from './acme/acme-meter.ts';
export type { AcmeCounts, AcmeTokenCall } from './acme/acme-meter.ts';
export { startAcme } from './acme/start-acme.ts';
export type { Acme, AcmeEndpoints, AcmeOptions } from './acme/start-acme.ts';
export { readAcmeReport, startAcmeProcess } from './acme/start-acme-process.ts';
export type { AcmeProcess, AcmeReport } from './acme/start-acme-process.ts';
export { TestAuthority, type TestCertificate } from './client-certificates.ts';
export type { AcmeMtls } from './acme/acme-mtls.ts';
export { CookieJar } from './browser/cookie-jar.ts';
export type { HtmlButton, HtmlField, HtmlForm } from './browser/html-forms.ts';
export { ScriptedBrowser } from './browser/scripted-browser.ts';
export type { BrowserPage, BrowserStep, FormInput, Until } from './browser/scripted-browser.ts';
export type { NatsNode } from './nats-cluster/nats-node.ts';
export { startNatsCluster } from './nats-cluster/start-nats-cluster.ts';
export type { NatsCluster, NatsClusterOptions } from './nats-cluster/start-nats-cluster.ts';
export { startPlatformSite } from './platform-site.ts';
export type { PlatformSite, PlatformVisit } from './platform-site.ts';
export type { ProfileNotice, ProviderProfile } from './providers/profile.ts';
export type { GrantReport } from './providers/profile-book.ts';
export type { ProfileComplaint } from './providers/profile-server.ts';
export type { AssertionProfile } from './providers/assertion-profile.ts';
export type { KeyProfile, MadeSecret } from './providers/key-profile.ts';
export { assertionProfiles } from './providers/profiles/assertions.ts';
export { keyProfiles } from './providers/profiles/keys.ts';
export { providerProfiles } from './providers/profiles/index.ts';
export { reachingProviders, reachProviders } from './providers/reach-providers.ts';
export { startProviderInternet } from './providers/start-provider-internet.ts';
export type {
  ProfileRegistration,
  ProviderControl,
  ProviderInternet,
  ProviderInternetOptions,
} from './providers/start-provider-internet.ts';
export { startProviderInternetProcess } from './providers/start-provider-internet-process.ts';
export { startTcpProxy } from './tcp-proxy.ts';
export type { LossEffect, TcpProxy } from './tcp-proxy.ts';
export { TestVault } from './test-vault.ts';
export type { TestVaultAccess } from './test-vault.ts';
export { SetSigner } from './transmitter/set-signer.ts';
export type { SetToSign } from './transmitter/set-signer.ts';
export { startTransmitter } from './transmitter/start-transmitter.ts';
export type { TestPoll, TestTransmitter } from './transmitter/start-transmitter.ts';
export { startWitness } from './witness/start-witness.ts';
export type { TestWitness, WitnessedLog } from './witness/start-witness.ts';
export { startMcpServer, type TestMcpServer } from './mcp/start-mcp-server.ts';
export { waitFor } from './wait-for.ts';
export type { WaitOptions } from './wait-for.ts';
