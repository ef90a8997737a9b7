export { gatewayService, gatewayService as service } from './gateway-module.ts';
