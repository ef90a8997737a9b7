export { drillProviders, providerDrill, type ProviderDrillReport } from './provider-drill/provider-drill.ts';
export { killDrill, type DrillOptions, type DrillReport } from './kill-drill/kill-drill.ts';
export { targets } from './kill-drill/round.ts';
export { createProgram } from './program.ts';
export { jwtBearerStory, type AssertingClient, type JwtBearerStory } from './second-opinion/jwt-bearer.ts';
